import type { MmuNotifyEvent } from "@mmu-notifier/bus";
import { spinLock, spinUnlock, type Path } from "@mmu-notifier/steps";
import type { Scene } from "../../scene/scene.js";

/** Which call takes a page away. */
export interface UnmapOptions {
  readonly call?: string;
  readonly event?: MmuNotifyEvent;
  readonly mm?: number;
}

/** munmap(2) or MADV_DONTNEED of one mapped page, as mainline does it: bracket, clear under the lock, flush, free, end, return. */
export function* unmapPage(
  scene: Scene,
  vpn: number,
  { call = "munmap", event = "MMU_NOTIFY_UNMAP", mm = scene.mm }: UnmapOptions = {},
): Path {
  const range = scene.range(vpn, 1, event, { mm });
  yield* scene.start(range);
  yield spinLock(scene.ptl(vpn, mm));
  const pfn = yield scene.clear(vpn, mm);
  yield spinUnlock(scene.ptl(vpn, mm));
  if (pfn !== 0) {
    yield* scene.flush(vpn, 1, { mm });
    yield scene.free(pfn);
  }
  yield* scene.end(range);
  yield scene.returns(call, vpn, 1, mm);
}

/** Migration or copy-on-write of one page, as mainline does it: the same content in another frame. */
export function* replacePage(scene: Scene, vpn: number): Path {
  const range = scene.range(vpn);
  yield* scene.start(range);
  yield spinLock(scene.ptl(vpn));
  const old = yield scene.clear(vpn);
  yield* scene.flush(vpn);
  const copy = yield scene.alloc();
  yield scene.copy(old, copy);
  yield scene.set(vpn, copy);
  yield spinUnlock(scene.ptl(vpn));
  yield scene.free(old);
  yield* scene.end(range);
}
