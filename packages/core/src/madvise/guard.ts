import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { EINVAL } from "../errno.js";
import { anonVmaPrepare } from "../fault/anon-vma-prepare.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PMD_LEVEL, PTE_LEVEL } from "../page-table.js";
import { isPteMarker, mkSwp, pteNone, pteTable, SWP_MARKER_GUARD, swpType } from "../pte.js";
import { ZAP_DONTNEED } from "../unmap/zap-details.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";
import { zapPageRangeSingle } from "../unmap/zap-single.js";
import { VM_HUGETLB, VM_LOCKED, VM_MAYBE_GUARD, VM_MAYSHARE, VM_SPECIAL, VM_WRITE } from "../vma.js";

const MAX_MADVISE_GUARD_RETRIES = 3;
const ZAP_NEEDED = 1;

/** is_valid_guard_vma(): anonymous writable memory up to v6.14, then files as well. Inside a step. */
function validGuardVma(k: Kernel, vma: number, allowLocked: boolean): boolean {
  const flags = k.vmas.flags(vma);
  if ((flags & (VM_SPECIAL | VM_HUGETLB)) !== 0 || (!allowLocked && (flags & VM_LOCKED) !== 0)) return false;
  if (since(k.profile, 6, 15)) return true;
  return k.vmas.file(vma) === 0 && (flags & (VM_MAYSHARE | VM_WRITE)) === VM_WRITE;
}

/** madvise_guard_install(): every entry of pages [start, end) becomes a guard marker; what is mapped is zapped first. 0 or -errno. */
export function* madviseGuardInstall(
  k: Kernel,
  cpu: number,
  mm: number,
  vma: number,
  start: number,
  end: number,
): Path<number> {
  const valid = yield step("is_valid_guard_vma", () => (validGuardVma(k, vma, false) ? 1 : 0));
  if (valid === 0) return -EINVAL;
  // Fork has to copy the markers: older kernels copy what has an anon_vma, newer ones what has the flag.
  const marksVma = since(k.profile, 6, 18);
  yield step("vma_set_atomic_flag(VM_MAYBE_GUARD)", () => {
    if (marksVma) k.vmas.setFlags(vma, k.vmas.flags(vma) | VM_MAYBE_GUARD);
    if (!marksVma || k.vmas.file(vma) === 0) anonVmaPrepare(k, vma);
    return 0;
  });
  for (let retry = 0; retry < MAX_MADVISE_GUARD_RETRIES; retry++) {
    if ((yield* installMarkers(k, mm, start, end)) !== ZAP_NEEDED) return 0;
    yield* zapPageRangeSingle(k, cpu, vma, start, end, { ...ZAP_DONTNEED, reclaimTables: false });
  }
  return 0;
}

/** The page-table walk that puts markers into empty entries; stops at the first one that maps something. */
function* installMarkers(k: Kernel, mm: number, start: number, end: number): Path<number> {
  const span = k.tables.hugePages;
  for (let at = start; at < end;) {
    const from = at;
    const next = Math.min(end, at - (at % span) + span);
    const ptep = yield step("pte_alloc", () => k.tables.findOrCreate(k.mms.pgd(mm), PTE_LEVEL, from));
    if (ptep === 0) return ZAP_NEEDED;
    const ptl = k.tables.ptl(k.tables.tableOf(ptep));
    yield spinLock(ptl);
    const result = yield step("guard_install_set_pte", () => {
      for (let i = 0; i < next - from; i++) {
        const pte = k.tables.get(ptep + i);
        if (isPteMarker(pte) && swpType(pte) === SWP_MARKER_GUARD) continue;
        if (!pteNone(pte)) return ZAP_NEEDED;
        k.tables.set(ptep + i, mkSwp(SWP_MARKER_GUARD, 0));
      }
      return 0;
    });
    yield spinUnlock(ptl);
    if (result !== 0) return result;
    at = next;
  }
  return 0;
}

/** madvise_guard_remove(): guard markers of pages [start, end) go; nothing is announced, since nothing was mapped. 0 or -errno. */
export function* madviseGuardRemove(k: Kernel, mm: number, vma: number, start: number, end: number): Path<number> {
  const valid = yield step("is_valid_guard_vma", () => (validGuardVma(k, vma, true) ? 1 : 0));
  if (valid === 0) return -EINVAL;
  const span = k.tables.hugePages;
  for (let at = start; at < end;) {
    const from = at;
    at = yield step("pmd_none", () => nextPopulatedBlock(k, mm, from, end));
    if (at >= end) break;
    const first = at;
    const next = Math.min(end, at - (at % span) + span);
    const ptep = yield step("pte_offset_map_lock", () => {
      const pmd = k.tables.get(k.tables.find(k.mms.pgd(mm), PMD_LEVEL, first));
      return pteTable(pmd) ? k.tables.find(k.mms.pgd(mm), PTE_LEVEL, first) : 0;
    });
    at = next;
    if (ptep === 0) continue;
    const ptl = k.tables.ptl(k.tables.tableOf(ptep));
    yield spinLock(ptl);
    yield step("guard_remove_pte_entry", () => {
      for (let i = 0; i < next - first; i++) {
        const pte = k.tables.get(ptep + i);
        if (isPteMarker(pte) && swpType(pte) === SWP_MARKER_GUARD) k.tables.set(ptep + i, 0);
      }
      return 0;
    });
    yield spinUnlock(ptl);
  }
  return 0;
}
