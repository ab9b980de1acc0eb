import { type Path, Step, step, waitFor } from "@mmu-notifier/steps";
import { INODE_DAX } from "../file.js";
import { doHugePmdAnonymousPage } from "../huge/anon-huge-fault.js";
import { doHugePmdNumaPage } from "./numa-fault.js";
import { daxHugeFault } from "../huge/dax-huge-fault.js";
import { wpHugePmd } from "../huge/huge-write-protect-fault.js";
import { thpAllowedByFlags, vmaThpDisabled } from "../huge/thp-eligible.js";
import { hugePmdSetAccessed } from "../huge/touch-pmd.js";
import { hugetlbFault } from "../hugetlb/hugetlb-fault.js";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL, type Ptep } from "../page-table.js";
import { isMigrationEntry, type Pte, pteHugeLeaf, pteNone, pteProtnone, pteWrite } from "../pte.js";
import { isCowMapping, VM_ACCESS_FLAGS, VM_HUGETLB, VM_MAYWRITE, VM_WRITE } from "../vma.js";
import { handlePteFault } from "./handle-pte-fault.js";
import { packEntry, packedPte, packedPtep } from "./pte-map.js";
import { doSwapPage } from "./swap-fault.js";
import { FAULT_FLAG_UNSHARE, VM_FAULT_FALLBACK, VM_FAULT_SIGSEGV, VmFault } from "./vm-fault.js";
import { vmaKind } from "./vm-page-prot.js";

const TWO_TO_32 = 2 ** 32;
/** Above the INODE_ numbers. */
const KINDS = 8;
const ENTER = new Step("handle_mm_fault", () => 0, undefined, { kind: "enter", fn: "handle_mm_fault" });

/**
 * handle_mm_fault(): makes page `vpn` of `vma` accessible, or says why not. The caller holds mmap_lock for reading, or the
 * VMA's own lock with FAULT_FLAG_VMA_LOCK; both are dropped when the result has VM_FAULT_RETRY or VM_FAULT_COMPLETED.
 *
 * @param flags FAULT_FLAG_ bits; FAULT_FLAG_WRITE and FAULT_FLAG_UNSHARE exclude each other
 * @returns VM_FAULT_ bits
 */
export function* handleMmFault(k: Kernel, cpu: number, vma: number, vpn: number, flags: number): Path<number> {
  yield ENTER;
  const vmf = yield* describe(k, cpu, vma, vpn, flags);
  const result = sanitizeFaultFlags(vmf) || (yield* vmf.has(VM_HUGETLB) ? hugetlbFault(k, vmf) : levels(k, vmf));
  yield leave(k, vmf.mm, vpn, flags, result);
  return result;
}

/** follow_hugetlb_page() up to v6.4: GUP calls hugetlb_fault() itself. */
export function* hugetlbFaultFromGup(k: Kernel, cpu: number, vma: number, vpn: number, flags: number): Path<number> {
  return yield* hugetlbFault(k, yield* describe(k, cpu, vma, vpn, flags));
}

/** do_swap_page() for a caller of its own, not a fault: brings page `vpn` in, whose swap entry `pte` lies at `ptep`. VM_FAULT_ bits. */
export function* swapInPage(k: Kernel, cpu: number, vma: number, vpn: number, ptep: Ptep, pte: Pte): Path<number> {
  const vmf = yield* describe(k, cpu, vma, vpn, 0);
  vmf.ptep = ptep;
  vmf.origPte = pte;
  return yield* doSwapPage(k, vmf);
}

/** What the VMA says, in one step: the caller's lock keeps it. */
function* describe(k: Kernel, cpu: number, vma: number, vpn: number, flags: number): Path<VmFault> {
  const described = yield step(
    "vma->vm_flags",
    () => (k.vmas.mm(vma) * KINDS + vmaKind(k, vma)) * TWO_TO_32 + (k.vmas.flags(vma) >>> 0),
  );
  const upper = Math.floor(described / TWO_TO_32);
  return new VmFault(cpu, Math.floor(upper / KINDS), vma, vpn, flags, described | 0, upper % KINDS);
}

/** The marker at the end of the function, where observers learn of the outcome. */
function leave(k: Kernel, mm: number, vpn: number, flags: number, result: number): Step {
  const report = (): number => {
    if (k.observed) k.emit({ kind: "handle-mm-fault", mm, vpn, flags, result });
    return 0;
  };
  return new Step("leave", report, undefined, { kind: "leave" });
}

/** sanitize_fault_flags(): 0, or VM_FAULT_SIGSEGV for an access that the VMA can never allow. */
function sanitizeFaultFlags(vmf: VmFault): number {
  if (vmf.unshare) {
    if (vmf.write) return VM_FAULT_SIGSEGV;
    if (!isCowMapping(vmf.vmFlags)) vmf.flags &= ~FAULT_FLAG_UNSHARE;
  } else if (vmf.write) {
    if (!vmf.has(VM_MAYWRITE)) return VM_FAULT_SIGSEGV;
    if (!vmf.has(VM_WRITE) && !isCowMapping(vmf.vmFlags)) return VM_FAULT_SIGSEGV;
  }
  return 0;
}

/** __handle_mm_fault(): huge entries first, then the page table. */
function* levels(k: Kernel, vmf: VmFault): Path<number> {
  if (k.tables.top < PMD_LEVEL) return yield* handlePteFault(k, vmf);
  const huge = yield* pmdFault(k, vmf);
  return huge === VM_FAULT_FALLBACK ? yield* handlePteFault(k, vmf) : huge;
}

function* pmdFault(k: Kernel, vmf: VmFault): Path<number> {
  const snapshot = yield step("pmd_alloc, pmdp_get_lockless", () => {
    const pmdp = k.tables.findOrCreate(k.mms.pgd(vmf.mm), PMD_LEVEL, vmf.vpn);
    return packEntry(pmdp, k.tables.get(pmdp));
  });
  vmf.pmdp = packedPtep(snapshot);
  const pmd = packedPte(snapshot);
  if (pteNone(pmd)) return yield* createHugePmd(k, vmf);
  if (isMigrationEntry(pmd)) {
    const { pmdp } = vmf;
    yield waitFor("pmd_migration_entry_wait", () => k.tables.get(pmdp) !== pmd);
    return 0;
  }
  if (!pteHugeLeaf(pmd)) return VM_FAULT_FALLBACK;
  vmf.origPte = pmd;
  if (pteProtnone(pmd) && vmf.has(VM_ACCESS_FLAGS)) return yield* doHugePmdNumaPage(k, vmf);
  if (vmf.breaksSharing && !pteWrite(pmd)) return yield* wpHugePmd(k, vmf);
  yield* hugePmdSetAccessed(k, vmf);
  return 0;
}

/** create_huge_pmd(). */
function* createHugePmd(k: Kernel, vmf: VmFault): Path<number> {
  if (!thpAllowedByFlags(k, vmf.vmFlags, vmf.kind)) return VM_FAULT_FALLBACK;
  const disabled = yield step("vma_thp_disabled", () => (vmaThpDisabled(k, vmf.mm, vmf.vmFlags) ? 1 : 0));
  if (disabled !== 0) return VM_FAULT_FALLBACK;
  return vmf.kind === INODE_DAX ? yield* daxHugeFault(k, vmf) : yield* doHugePmdAnonymousPage(k, vmf);
}
