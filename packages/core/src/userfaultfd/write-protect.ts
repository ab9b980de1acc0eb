import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EINVAL, ENOENT } from "../errno.js";
import { vmaKind, vmPageProtOf } from "../fault/vm-page-prot.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { changeProtection, finishProtection, protectionGather } from "../protect/change-protection.js";
import { wantsManualWriteUpgrade } from "../protect/change-flags.js";
import type { Thread } from "../thread.js";
import { VM_HUGETLB, VM_UFFD_WP, VM_WRITE } from "../vma.js";
import { validRange } from "./valid-range.js";

/** UFFDIO_WRITEPROTECT of `length` bytes from `start`: protects, or lifts the protection. Returns 0 or -errno. */
export function uffdWriteprotect(k: Kernel, t: Thread, start: number, length: number, protect: boolean): Path<number> {
  return call("userfaultfd_writeprotect", writeprotect(k, t, start, length, protect));
}

function* writeprotect(k: Kernel, t: Thread, start: number, length: number, protect: boolean): Path<number> {
  if (!validRange(k, start, length)) return -EINVAL;
  const lock = k.mms.mmapLock(t.mm);
  yield downRead(lock);
  const result = yield* mwriteprotectRange(k, t, start / PAGE_SIZE, (start + length) / PAGE_SIZE, protect);
  yield upRead(lock);
  return result;
}

/** mwriteprotect_range(): VMA after VMA since v6.3; before, the range had to lie in one. */
function* mwriteprotectRange(k: Kernel, t: Thread, start: number, end: number, protect: boolean): Path<number> {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  const several = since(k.profile, 6, 3);
  let result = -ENOENT;
  for (let at = start; at < end;) {
    const from = at;
    const vma = yield step("for_each_vma_range", () => k.vmas.findIntersection(list, from, end));
    if (vma === 0) break;
    const first = yield step("vma->vm_start", () => Math.max(from, k.vmas.start(vma)));
    const last = yield step("vma->vm_end", () => Math.min(end, k.vmas.end(vma)));
    const usable = yield step("userfaultfd_wp", () => {
      if (!k.vmas.has(vma, VM_UFFD_WP) || (!several && (first > from || last < end))) return -ENOENT;
      const span = k.vmas.has(vma, VM_HUGETLB) ? k.tables.hugePages : 1;
      return start % span !== 0 || end % span !== 0 ? -EINVAL : 0;
    });
    if (usable < 0) return usable;
    yield* uffdWpRange(k, t, vma, first, last, protect);
    result = 0;
    at = last;
  }
  return result;
}

/** uffd_wp_range(): sets or lifts the protection of [start, end) of `vma`, as a change of protection with a range of its own. */
export function* uffdWpRange(
  k: Kernel,
  t: Thread,
  vma: number,
  start: number,
  end: number,
  protect: boolean,
): Path<number> {
  const vmFlags = (yield step("vma->vm_flags", () => k.vmas.flags(vma))) | 0;
  const kind = yield step("vma->vm_file", () => vmaKind(k, vma));
  // Up to v6.2 the rights came from the VMA's flags alone, and nothing became writable again before a fault.
  const fromVma = since(k.profile, 6, 3);
  const newprot = fromVma
    ? yield step("vma->vm_page_prot", () => vmPageProtOf(k, vma))
    : k.pte.pageProt(protect ? vmFlags & ~VM_WRITE : vmFlags);
  const tlb = yield* protectionGather(k, t.cpu, t.mm);
  const changed = yield* changeProtection(k, t.cpu, tlb, vma, start, end, {
    newprot,
    uffdWp: protect,
    uffdWpResolve: !protect,
    tryChangeWritable: !protect && fromVma && wantsManualWriteUpgrade(k, vmFlags, kind),
    numa: false,
    vmFlags,
    kind,
  });
  yield* finishProtection(k, tlb);
  return changed;
}
