import { call, downWrite, type Path, spinLock, spinUnlock, step, upWrite } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL, type Ptep } from "../page-table.js";
import { ptePresent } from "../pte.js";
import { changedEntry, changedNonPresent, wpUsesMarkers } from "../protect/change-entry.js";
import type { ChangeProtection } from "../protect/change-flags.js";
import { flushTlbRange } from "../tlb/flush.js";
import { hugetlbGather } from "./hugetlb-gather.js";

const CHANGED = 1;
const WAS_PRESENT = 2;

/** hugetlb_change_protection(): announced whole even when nothing is mapped, and flushed before the end. */
export function hugetlbChangeProtection(
  k: Kernel,
  cpu: number,
  mm: number,
  vma: number,
  start: number,
  end: number,
  change: ChangeProtection,
): Path<number> {
  return call("hugetlb_change_protection", protect(k, cpu, mm, vma, start, end, change));
}

function* protect(
  k: Kernel,
  cpu: number,
  mm: number,
  vma: number,
  start: number,
  end: number,
  change: ChangeProtection,
): Path<number> {
  const tlb = yield* hugetlbGather(k, cpu, mm);
  const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_PROTECTION_VMA" } as const;
  yield* k.bus.invalidateRangeStart(range);
  const inode = yield step("vma->vm_file->f_mapping", () => k.files.inode(k.vmas.file(vma)));
  yield downWrite(k.files.iMmapLock(inode));
  const span = k.tables.hugePages;
  const populates = change.uffdWp ? yield step("userfaultfd_wp_use_markers", () => (wpUsesMarkers(k, vma) ? 1 : 0)) : 0;
  let changed = 0;
  for (let at = start; at < end; at += span) {
    const vpn = at;
    const ptep = yield step("hugetlb_walk", () => {
      const pgd = k.mms.pgd(mm);
      return populates !== 0 ? k.tables.findOrCreate(pgd, PMD_LEVEL, vpn) : k.tables.find(pgd, PMD_LEVEL, vpn);
    });
    if (ptep === 0) continue;
    const ptl = k.tables.ptl(k.tables.tableOf(ptep));
    yield spinLock(ptl);
    const result = yield step("huge_ptep_modify_prot", () => changeOne(k, vma, ptep, change));
    yield spinUnlock(ptl);
    if (result !== 0) changed++;
    if (result === WAS_PRESENT) tlb?.removeEntry(vpn, span);
  }
  if (tlb === undefined) yield* flushTlbRange(k, cpu, mm, start, end, { stridePages: span });
  else yield* tlb.flushTlbOnly();
  yield upWrite(k.files.iMmapLock(inode));
  yield* k.bus.invalidateRangeEnd(range);
  // Inside the caller's gather this one counts as nested, and everything is flushed once more.
  if (tlb !== undefined) yield* tlb.finish();
  return changed * span;
}

function changeOne(k: Kernel, vma: number, ptep: Ptep, change: ChangeProtection): number {
  const before = k.tables.get(ptep);
  const after = ptePresent(before)
    ? changedEntry(k, before, { ...change, tryChangeWritable: false })
    : changedNonPresent(k, vma, before, change);
  if (after !== before) k.tables.set(ptep, after);
  if (ptePresent(before)) return WAS_PRESENT;
  return after === before ? 0 : CHANGED;
}
