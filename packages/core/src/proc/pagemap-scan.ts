import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EINVAL, EPERM } from "../errno.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { userfaultfdWpAsync } from "../fault/userfault.js";
import { PAGE_SIZE } from "../geometry.js";
import { splitHugePmd } from "../huge/split-huge-pmd.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import {
  isPteMarker,
  mkSwp,
  type Pte,
  PTE_UFFD_WP,
  pteHugeLeaf,
  pteMkuffdWp,
  pteNone,
  ptePresent,
  SWP_MARKER_UFFD_WP,
  swpType,
} from "../pte.js";
import type { Thread } from "../thread.js";
import { contpteTryUnfold } from "../tlb/contpte.js";
import { flushTlbRange } from "../tlb/flush.js";
import { pmdpInvalidateAd, ptepModifyProtStart, setPteAt } from "../tlb/ptep.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";
import { uffdWpRange } from "../userfaultfd/write-protect.js";
import { VM_HUGETLB, VM_PFNMAP, VM_UFFD_WP } from "../vma.js";

/**
 * PAGEMAP_SCAN with PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC for PAGE_IS_WRITTEN: finds the pages of [start, start + length) bytes
 * that were written since they were protected, and protects them again. Announces the range even if there is nothing to do.
 *
 * @returns regions found, or -errno: -EPERM for memory without asynchronous write protection
 */
export function pagemapScan(k: Kernel, t: Thread, start: number, length: number): Path<number> {
  return call("do_pagemap_scan", scan(k, t, start, length));
}

/** What was found so far: runs of written pages. */
class Regions {
  count = 0;
  #end = -1;

  add(start: number, end: number): void {
    if (start !== this.#end) this.count++;
    this.#end = end;
  }
}

function* scan(k: Kernel, t: Thread, start: number, length: number): Path<number> {
  if (!since(k.profile, 6, 7) || start % PAGE_SIZE !== 0) return -EINVAL;
  const first = start / PAGE_SIZE;
  const end = Math.ceil((start + length) / PAGE_SIZE);
  const regions = new Regions();
  const lock = k.mms.mmapLock(t.mm);
  yield downRead(lock);
  const range = {
    mm: t.mm,
    start: first * PAGE_SIZE,
    end: end * PAGE_SIZE,
    event: "MMU_NOTIFY_PROTECTION_VMA",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  const error = yield* walkVmas(k, t, first, end, regions);
  yield* k.bus.invalidateRangeEnd(range);
  yield upRead(lock);
  return error !== 0 ? error : regions.count;
}

function* walkVmas(k: Kernel, t: Thread, start: number, end: number, regions: Regions): Path<number> {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  for (let at = start; at < end;) {
    const from = at;
    const vma = yield step("find_vma_intersection", () => k.vmas.findIntersection(list, from, end));
    if (vma === 0) return 0;
    const allowed = yield step("pagemap_scan_test_walk", () =>
      k.vmas.has(vma, VM_UFFD_WP) && userfaultfdWpAsync(k, vma) ? 1 : 0,
    );
    if (allowed === 0) return -EPERM;
    const first = yield step("vma->vm_start", () => Math.max(from, k.vmas.start(vma)));
    at = yield step("vma->vm_end", () => Math.min(end, k.vmas.end(vma)));
    const skip = yield step("VM_PFNMAP", () => (k.vmas.has(vma, VM_PFNMAP) ? 1 : 0));
    if (skip === 0) yield* walkBlocks(k, t, vma, first, at, regions);
  }
  return 0;
}

function* walkBlocks(k: Kernel, t: Thread, vma: number, start: number, end: number, regions: Regions): Path {
  const span = k.tables.hugePages;
  const hugetlb = yield step("is_vm_hugetlb_page", () => (k.vmas.has(vma, VM_HUGETLB) ? 1 : 0));
  for (let at = start; at < end;) {
    const from = at;
    at = Math.min(end, yield step("walk_pmd_range", () => nextPopulatedBlock(k, t.mm, from, end)));
    if (hugetlb === 0) yield* protectHole(k, t, vma, from, at, regions);
    if (at >= end) return;
    const here = at;
    const next = Math.min(end, at - (at % span) + span);
    const pmdp = yield step("pmd_trans_huge_lock", () => {
      const entry = k.tables.find(k.mms.pgd(t.mm), PMD_LEVEL, here);
      return entry !== 0 && pteHugeLeaf(k.tables.get(entry)) ? entry : 0;
    });
    if (pmdp !== 0) {
      const written = yield step("pmd_uffd_wp", () => ((k.tables.get(pmdp) & PTE_UFFD_WP) === 0 ? 1 : 0));
      if (written !== 0 && next - at === span) {
        yield* protectHuge(k, t, here, pmdp);
        regions.add(at, next);
      }
      const splits = written !== 0 && next - at !== span && hugetlb === 0;
      if (splits) yield* splitHugePmd(k, t.cpu, vma, at);
      else {
        at = next;
        continue;
      }
    }
    yield* protectTable(k, t, at, next, regions);
    at = next;
  }
}

/**
 * pagemap_scan_pte_hole(): where there is no page table, all counts as written; each block gets a table of markers, under a range
 * of its own.
 */
function* protectHole(k: Kernel, t: Thread, vma: number, start: number, end: number, regions: Regions): Path {
  const span = k.tables.hugePages;
  for (let at = start; at < end;) {
    const next = Math.min(end, at - (at % span) + span);
    regions.add(at, next);
    yield* uffdWpRange(k, t, vma, at, next, true);
    at = next;
  }
}

function* protectHuge(k: Kernel, t: Thread, vpn: number, pmdp: Ptep): Path {
  yield lockPtl(k, pmdp);
  const before = yield* pmdpInvalidateAd(k, t.cpu, t.mm, vpn, pmdp);
  yield setPteAt(k, t.mm, vpn, pmdp, pteMkuffdWp(k.pte.wrprotect(before)));
  yield* flushTlbRange(k, t.cpu, t.mm, vpn, vpn + k.tables.hugePages);
  yield unlockPtl(k, pmdp);
}

/** pagemap_scan_pmd_entry(): what is not populated counts as written, and gets a marker. One flush from the first change on. */
function* protectTable(k: Kernel, t: Thread, start: number, end: number, regions: Regions): Path {
  const first = yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(t.mm), PTE_LEVEL, start));
  if (first === 0) return;
  yield lockPtl(k, first);
  let low = -1;
  for (let at = start; at < end; at++) {
    const vpn = at;
    const ptep = first + (vpn - start);
    const pte = yield step("pte_uffd_wp", () => (isProtected(k.tables.get(ptep)) ? 0 : 1));
    if (pte === 0) continue;
    regions.add(vpn, vpn + 1);
    yield* makeUffdWp(k, t, vpn, ptep);
    if (low < 0) low = vpn;
  }
  if (low >= 0) yield* flushTlbRange(k, t.cpu, t.mm, low, end);
  yield unlockPtl(k, first);
}

function isProtected(pte: Pte): boolean {
  if (!ptePresent(pte) && isPteMarker(pte) && swpType(pte) === SWP_MARKER_UFFD_WP) return true;
  return !pteNone(pte) && (pte & PTE_UFFD_WP) !== 0;
}

/** make_uffd_wp_pte(). */
function* makeUffdWp(k: Kernel, t: Thread, vpn: number, ptep: Ptep): Path {
  const present = yield step("pte_present", () => (ptePresent(k.tables.get(ptep)) ? 1 : 0));
  if (present === 0) {
    yield step("set_pte_at", () => {
      const pte = k.tables.get(ptep);
      k.tables.set(ptep, pteNone(pte) ? mkSwp(SWP_MARKER_UFFD_WP, 0) : pte | PTE_UFFD_WP);
      return 0;
    });
    return;
  }
  yield* contpteTryUnfold(k, t.cpu, t.mm, vpn, ptep);
  const before = yield ptepModifyProtStart(k, ptep);
  yield setPteAt(k, t.mm, vpn, ptep, pteMkuffdWp(k.pte.wrprotect(before)));
}
