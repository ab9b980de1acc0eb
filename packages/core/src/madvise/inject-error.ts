import { call, downRead, type Path, upRead } from "@mmu-notifier/steps";
import { EPERM } from "../errno.js";
import { memoryFailure, softOffline } from "../memory-failure/memory-failure.js";
import { getUserPages } from "../fault/gup.js";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { MADV_SOFT_OFFLINE } from "./advice.js";

/** madvise_inject_error(): breaks pages [from, to) (MADV_HWPOISON), or moves them to other frames as if they were about to break. */
export function injectError(k: Kernel, t: Thread, from: number, to: number, advice: number): Path<number> {
  return call("madvise_inject_error", inject(k, t, from, to, advice));
}

function* inject(k: Kernel, t: Thread, from: number, to: number, advice: number): Path<number> {
  if (!k.config.privileged) return -EPERM;
  for (let vpn = from; vpn < to; vpn++) {
    yield downRead(k.mms.mmapLock(t.mm));
    const pfn = yield* getUserPages(k, t.cpu, t.mm, vpn, { get: true });
    yield upRead(k.mms.mmapLock(t.mm));
    if (pfn < 0) return pfn;
    const error =
      advice === MADV_SOFT_OFFLINE ? yield* softOffline(k, t.cpu, pfn) : yield* memoryFailure(k, t, vpn, pfn);
    if (error !== 0) return error;
  }
  return 0;
}
