import { type Path, waitFor } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { isPteMarker, pteNone, ptePresent, pteUffdWp, pteWrite } from "../pte.js";
import { UFFD_FEATURE_SIGBUS, UFFD_FEATURE_WP_ASYNC } from "../userfaultfd.js";
import { VM_UFFD_MINOR, VM_UFFD_MISSING, VM_UFFD_WP } from "../vma.js";
import { releaseFaultLock } from "./fault-lock.js";
import { step } from "@mmu-notifier/steps";
import { VM_FAULT_RETRY, VM_FAULT_SIGBUS, type VmFault } from "./vm-fault.js";

/** Why a monitor is needed: nothing there, write protection, or a page that is there but not mapped. */
export type UserfaultReason = "missing" | "wp" | "minor";

export const userfaultfdMissing = (vmf: VmFault): boolean => vmf.has(VM_UFFD_MISSING);
/** userfaultfd_armed(): a monitor watches this VMA in some mode. */
export const userfaultfdArmed = (vmf: VmFault): boolean => vmf.has(VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR);
export const userfaultfdWp = (vmf: VmFault): boolean => vmf.has(VM_UFFD_WP);

/** userfaultfd_wp_async(): the kernel resolves write protection of this VMA itself. Inside a step. */
export function userfaultfdWpAsync(k: Kernel, vma: number): boolean {
  const uffd = k.vmas.uffd(vma);
  return uffd !== 0 && since(k.profile, 6, 7) && k.uffds.has(uffd, UFFD_FEATURE_WP_ASYNC);
}

/**
 * handle_userfault(): the monitor has to fill the page or lift its protection. With UFFD_FEATURE_SIGBUS the access fails;
 * else the fault's lock is dropped and the task sleeps until the entry has changed. Not under the PTL.
 *
 * @returns VM_FAULT_SIGBUS, or VM_FAULT_RETRY with the lock dropped
 */
export function* handleUserfault(k: Kernel, vmf: VmFault, reason: UserfaultReason): Path<number> {
  const sigbus = yield step("handle_userfault", () => {
    const uffd = k.vmas.uffd(vmf.vma);
    return uffd === 0 || k.uffds.has(uffd, UFFD_FEATURE_SIGBUS) ? 1 : 0;
  });
  if (sigbus !== 0) return VM_FAULT_SIGBUS;
  yield* releaseFaultLock(k, vmf);
  yield waitFor("handle_userfault: schedule", () => !mustWait(k, vmf, reason));
  return VM_FAULT_RETRY;
}

/** userfaultfd_must_wait(): the reason for the fault is still there. */
function mustWait(k: Kernel, vmf: VmFault, reason: UserfaultReason): boolean {
  const leaf = k.tables.leaf(k.mms.pgd(vmf.mm), vmf.vpn);
  const pte = leaf === 0 ? 0 : k.tables.get(leaf);
  if (pteNone(pte) || isPteMarker(pte)) return reason !== "wp";
  return reason === "wp" && ptePresent(pte) && !pteWrite(pte) && pteUffdWp(pte);
}
