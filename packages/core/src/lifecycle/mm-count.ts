import { type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { exitMmap } from "./exit-mmap.js";

/** mmgrab(): one more reference to the row, which says nothing of the address space in it. Inside a step. */
export function mmgrab(k: Kernel, mm: number): void {
  k.mms.addCount(mm, 1);
}

/** mmdrop(): the last reference frees the row, its top-level table and its notifier subscriptions. Inside a step. */
export function mmdrop(k: Kernel, mm: number): void {
  if (k.mms.addCount(mm, -1) > 0) return;
  k.bus.forget(mm);
  k.tables.free(k.mms.pgd(mm));
  k.vmas.destroyList(k.mms.vmaList(mm));
  k.mms.free(mm);
}

/** mmget(): one more user of the address space. Inside a step. */
export function mmget(k: Kernel, mm: number): void {
  k.mms.addUsers(mm, 1);
}

/** mmput(): the last user tears the address space down. May sleep. */
export function* mmput(k: Kernel, t: Thread): Path {
  const left = yield step("mmput", () => k.mms.addUsers(t.mm, -1));
  if (left > 0) return;
  yield* exitMmap(k, t);
  yield step("mmdrop", () => {
    mmdrop(k, t.mm);
    return 0;
  });
}
