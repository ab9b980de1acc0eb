import { type Path, step } from "@mmu-notifier/steps";
import { EINVAL } from "../errno.js";
import { unmergeKsmPages } from "../ksm/unmerge.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_IO,
  VM_MAYSHARE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_SPECIAL,
  VM_WIPEONFORK,
} from "../vma.js";
import { resetFlags, vmaModify, vmaShape } from "../vma/modify.js";
import { vmaStartWrite } from "../vma/vma-lock.js";
import {
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WIPEONFORK,
} from "./advice.js";

const REFUSED = -1;

/** Flags of memory that KSM does not look at. */
const KSM_NEVER = VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_HUGETLB;

/** madvise_vma_behavior() of the advices that only change vm_flags: [start, end) of `vma`, mmap_lock held for writing. 0 or -errno. */
export function* adviseFlags(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  advice: number,
): Path<number> {
  const old = (yield step("vma->vm_flags", () => k.vmas.flags(vma))) | 0;
  const wanted = yield step("madvise_vma_behavior", () => {
    const flags = newFlags(k, vma, old, advice);
    return flags === undefined ? REFUSED : flags >>> 0;
  });
  if (wanted === REFUSED) return -EINVAL;
  const flags = wanted | 0;
  if (advice === MADV_UNMERGEABLE && flags !== old) {
    const error = yield* unmergeKsmPages(k, cpu, vma, start, end);
    if (error !== 0) return error;
  }
  return yield* madviseUpdateVma(k, cpu, vma, start, end, flags);
}

/** madvise_update_vma(): nothing at all happens when the flags stay the same. */
export function* madviseUpdateVma(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  flags: number,
): Path<number> {
  const shape = yield* vmaShape(k, vma);
  if (shape.flags === flags) return 0;
  const changed = yield* vmaModify(k, cpu, vma, start, end, { ...shape, flags });
  if (changed < 0) return changed;
  yield* vmaStartWrite(k, changed);
  yield step("vm_flags_reset", () => {
    resetFlags(k, changed, flags);
    return 0;
  });
  return 0;
}

/** The flags that `advice` makes of `old`, or undefined when it is refused. Inside a step. */
function newFlags(k: Kernel, vma: number, old: number, advice: number): number | undefined {
  switch (advice) {
    case MADV_NORMAL:
      return old & ~(VM_RAND_READ | VM_SEQ_READ);
    case MADV_SEQUENTIAL:
      return (old & ~VM_RAND_READ) | VM_SEQ_READ;
    case MADV_RANDOM:
      return (old & ~VM_SEQ_READ) | VM_RAND_READ;
    case MADV_DONTFORK:
      return old | VM_DONTCOPY;
    case MADV_DOFORK:
      return (old & VM_IO) !== 0 || ((old & VM_SPECIAL) !== 0 && (old & VM_HUGETLB) === 0 && since(k.profile, 6, 12))
        ? undefined
        : old & ~VM_DONTCOPY;
    case MADV_WIPEONFORK:
      return k.vmas.file(vma) !== 0 || (old & VM_SHARED) !== 0 ? undefined : old | VM_WIPEONFORK;
    case MADV_KEEPONFORK:
      return old & ~VM_WIPEONFORK;
    case MADV_DONTDUMP:
      return old | VM_DONTDUMP;
    case MADV_DODUMP:
      return (old & VM_HUGETLB) === 0 && (old & VM_SPECIAL) !== 0 ? undefined : old & ~VM_DONTDUMP;
    case MADV_MERGEABLE:
      return (old & KSM_NEVER) !== 0 ? old : old | VM_MERGEABLE;
    case MADV_UNMERGEABLE:
      return old & ~VM_MERGEABLE;
    case MADV_HUGEPAGE:
      return (old & ~VM_NOHUGEPAGE) | VM_HUGEPAGE;
    case MADV_NOHUGEPAGE:
      return (old & ~VM_HUGEPAGE) | VM_NOHUGEPAGE;
    default:
      return undefined;
  }
}
