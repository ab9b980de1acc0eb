import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { getUserPages, type GupFlags } from "../fault/gup.js";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { VM_ACCESS_FLAGS, VM_IO, VM_LOCKED, VM_LOCKONFAULT, VM_PFNMAP, VM_SHARED, VM_WRITE } from "../vma.js";

/** mm_populate(): faults pages [start, end) in after mmap() or mlock(), as far as it goes; errors are nobody's concern. */
export function mmPopulate(k: Kernel, t: Thread, start: number, end: number): Path<number> {
  return call("mm_populate", populate(k, t, start, end, true));
}

/** __mm_populate() with `ignoreErrors` false: 0, or -errno of the first page that does not come. */
export function* populate(k: Kernel, t: Thread, start: number, end: number, ignoreErrors: boolean): Path<number> {
  const lock = k.mms.mmapLock(t.mm);
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  for (let at = start; at < end;) {
    yield downRead(lock);
    const from = at;
    const vma = yield step("find_vma_intersection", () => k.vmas.findIntersection(list, from, end));
    if (vma === 0) {
      yield upRead(lock);
      break;
    }
    const first = yield step("vma->vm_start", () => Math.max(from, k.vmas.start(vma)));
    const last = yield step("vma->vm_end", () => Math.min(end, k.vmas.end(vma)));
    const flags = yield step("vma->vm_flags", () => k.vmas.flags(vma));
    const error =
      (flags & (VM_IO | VM_PFNMAP)) === 0 ? yield* populateVma(k, t, first, last, flags, { calledAgain: true }) : 0;
    yield upRead(lock);
    if (error < 0 && !ignoreErrors) return error;
    at = last;
  }
  return 0;
}

/**
 * populate_vma_page_range(): reads or, where a write would not share, writes each page. mmap_lock held for reading.
 *
 * @param how what becomes of the lock when a fault wants to drop it
 */
export function* populateVma(
  k: Kernel,
  t: Thread,
  start: number,
  end: number,
  flags: number,
  how: Pick<GupFlags, "calledAgain" | "keepLock">,
): Path<number> {
  if ((flags & VM_LOCKONFAULT) !== 0 && (flags & VM_LOCKED) !== 0) return 0;
  const write = (flags & (VM_WRITE | VM_SHARED)) === VM_WRITE;
  const force = (flags & VM_ACCESS_FLAGS) !== 0;
  for (let vpn = start; vpn < end;) {
    const page = yield* getUserPages(k, t.cpu, t.mm, vpn, { write, force, ...how });
    if (page < 0) return page;
    vpn = yield* afterLeaf(k, t.mm, vpn);
  }
  return 0;
}

/** The page after the leaf that maps `vpn`: __get_user_pages() takes a huge one in one go when nobody wants the pages. */
export function* afterLeaf(k: Kernel, mm: number, vpn: number): Path<number> {
  return yield step("page_mask", () => {
    const leaf = k.tables.leaf(k.mms.pgd(mm), vpn);
    const span = leaf === 0 ? 1 : k.tables.span[k.tables.levelOf(leaf)]!;
    return vpn - (vpn % span) + span;
  });
}
