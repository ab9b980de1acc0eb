import { downReadTrylock, type Path, step, upRead } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { anonVmaChainLink } from "../vma/anon-vma-links.js";
import { VM_ACCESS_FLAGS, VM_MAYBE_GUARD, VM_SOFTDIRTY } from "../vma.js";
import { releaseFaultLock } from "./fault-lock.js";
import { FAULT_FLAG_VMA_LOCK, VM_FAULT_RETRY, type VmFault } from "./vm-fault.js";

/** Flags in which two VMAs may differ and still share an anon_vma: mprotect may make them equal again. */
const MAY_DIFFER = VM_ACCESS_FLAGS | VM_SOFTDIRTY | VM_MAYBE_GUARD;

/** anon_vma_prepare(): gives a VMA its anon_vma, a neighbour's if the two may merge one day. Inside a step. */
export function anonVmaPrepare(k: Kernel, vma: number): void {
  if (k.vmas.anonVma(vma) !== 0) return;
  const anonVma = findMergeableAnonVma(k, vma) || k.anonVmas.alloc();
  k.vmas.setAnonVma(vma, anonVma);
  anonVmaChainLink(k, vma);
}

function findMergeableAnonVma(k: Kernel, vma: number): number {
  const list = k.mms.vmaList(k.vmas.mm(vma));
  const next = k.vmas.next(list, vma);
  const fromNext = next === 0 ? 0 : reusable(k, next, vma, next);
  if (fromNext !== 0) return fromNext;
  const prev = k.vmas.prev(list, vma);
  return prev === 0 ? 0 : reusable(k, prev, prev, vma);
}

/** reusable_anon_vma(): `from`'s anon_vma when `low` and `high` are compatible and it has no ancestors. */
function reusable(k: Kernel, from: number, low: number, high: number): number {
  const anonVma = k.vmas.anonVma(from);
  if (anonVma === 0 || k.anonVmas.parent(anonVma) !== 0) return 0;
  const compatible =
    k.vmas.end(low) === k.vmas.start(high) &&
    k.vmas.policy(low) === k.vmas.policy(high) &&
    k.vmas.file(low) === k.vmas.file(high) &&
    ((k.vmas.flags(low) ^ k.vmas.flags(high)) & ~MAY_DIFFER) === 0 &&
    k.vmas.pgoff(high) === k.vmas.pgoff(low) + (k.vmas.end(low) - k.vmas.start(low));
  return compatible ? anonVma : 0;
}

/**
 * vmf_anon_prepare(): under the per-VMA lock alone the neighbours are out of reach, so mmap_lock is tried; if that fails the
 * fault starts over.
 *
 * @returns 0, or VM_FAULT_RETRY with the lock dropped
 */
export function* vmfAnonPrepare(k: Kernel, vmf: VmFault): Path<number> {
  if ((vmf.flags & FAULT_FLAG_VMA_LOCK) === 0) {
    yield prepare(k, vmf);
    return 0;
  }
  const has = yield step("vma->anon_vma", () => k.vmas.anonVma(vmf.vma));
  if (has !== 0) return 0;
  const lock = k.mms.mmapLock(vmf.mm);
  if ((yield downReadTrylock(lock)) === 0) {
    yield* releaseFaultLock(k, vmf);
    return VM_FAULT_RETRY;
  }
  yield prepare(k, vmf);
  yield upRead(lock);
  return 0;
}

function prepare(k: Kernel, vmf: VmFault) {
  return step("anon_vma_prepare", () => {
    anonVmaPrepare(k, vmf.vma);
    return 0;
  });
}
