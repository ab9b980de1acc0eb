import { call, type Path, step } from "@mmu-notifier/steps";
import { EFAULT, EINVAL } from "../errno.js";
import { isHugeZeroPmd } from "../huge/huge-zero.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_HUGETLB } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL } from "../page-table.js";
import { pteHugeLeaf, ptePfn, ptePresent, pteSpecial } from "../pte.js";
import type { Thread } from "../thread.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";
import { VM_PFNMAP } from "../vma.js";
import { vmaModify, vmaShape } from "../vma/modify.js";
import { mmapWriteLock, mmapWriteUnlock, vmaStartWrite } from "../vma/vma-lock.js";
import { folioIsolateLru, migratePages, putback } from "./migrate-pages.js";
import { folioMaybeMappedShared } from "../rmap/maybe-mapped-shared.js";
import { folioMapcount } from "../rmap/rmap.js";

/**
 * mbind(2) with MPOL_MF_MOVE of `length` bytes from `start`: binds to `node`, or -1 for the default policy, and moves what this
 * process alone maps. The default policy asks for no node, so everything moves.
 *
 * @returns 0 or -errno
 */
export function sysMbind(k: Kernel, t: Thread, start: number, length: number, node: number): Path<number> {
  return call("mbind", mbind(k, t, start, length, node));
}

function* mbind(k: Kernel, t: Thread, start: number, length: number, node: number): Path<number> {
  if (start % PAGE_SIZE !== 0 || length < 0 || node >= k.config.nodes) return -EINVAL;
  const first = start / PAGE_SIZE;
  const end = first + Math.ceil(length / PAGE_SIZE);
  if (end === first) return 0;
  yield* mmapWriteLock(k, t.mm);
  const folios: number[] = [];
  let error = yield* queuePagesRange(k, t.mm, first, end, node, folios);
  if (error === 0) error = yield* bindRange(k, t, first, end, node + 1);
  if (error === 0 && folios.length > 0) {
    yield* mmapWriteUnlock(k, t.mm);
    yield* migratePages(k, t.cpu, folios, Math.max(node, 0));
    return 0;
  }
  for (const folio of folios) yield putback(k, folio);
  yield* mmapWriteUnlock(k, t.mm);
  return error;
}

/**
 * queue_pages_range(): isolates what is on the wrong node. Holes are -EFAULT, but for the default policy only if there is nothing
 * else.
 */
function* queuePagesRange(
  k: Kernel,
  mm: number,
  start: number,
  end: number,
  node: number,
  folios: number[],
): Path<number> {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(mm));
  for (let at = start; at < end;) {
    const from = at;
    const vma = yield step("queue_pages_test_walk", () =>
      node < 0 ? k.vmas.findIntersection(list, from, end) : k.vmas.lookup(list, from),
    );
    if (vma === 0) return node < 0 && at > start ? 0 : -EFAULT;
    at = yield step("vma->vm_start", () => Math.max(from, k.vmas.start(vma)));
    const last = yield step("vma->vm_end", () => Math.min(end, k.vmas.end(vma)));
    const skip = yield step("vma_migratable", () => (k.vmas.has(vma, VM_PFNMAP) ? 1 : 0));
    if (skip === 0) yield* queueVma(k, mm, at, last, node, folios);
    at = last;
  }
  return 0;
}

function* queueVma(k: Kernel, mm: number, start: number, end: number, node: number, folios: number[]): Path {
  for (let at = start; at < end;) {
    const from = at;
    const found = yield step("queue_folios_pte_range", () => isolateNext(k, mm, from, end, node));
    if (found === 0) return;
    // The step isolated one folio; where it lies is asked again for the next search.
    folios.push(found);
    at = yield step("folio_nr_pages", () => pageAfter(k, mm, from, end, found));
  }
}

/** The page after the first entry from `from` on that maps folio `head`: behind a small one may lie copies of single pages. */
function pageAfter(k: Kernel, mm: number, from: number, end: number, head: number): number {
  for (let vpn = from; vpn < end; vpn++) {
    const pfn = mappedFrame(k, mm, vpn);
    if (pfn === 0 || k.pages.head(pfn) !== head) continue;
    return hugeEntry(k, mm, vpn) ? vpn - (vpn % k.tables.hugePages) + k.tables.hugePages : vpn + 1;
  }
  return end;
}

function hugeEntry(k: Kernel, mm: number, vpn: number): boolean {
  const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn);
  return pmdp !== 0 && pteHugeLeaf(k.tables.get(pmdp));
}

/** The frame that page `vpn` is mapped to, 0 for none or special. */
function mappedFrame(k: Kernel, mm: number, vpn: number): number {
  const pgd = k.mms.pgd(mm);
  const pmdp = k.tables.find(pgd, PMD_LEVEL, vpn);
  const pmd = pmdp === 0 ? 0 : k.tables.get(pmdp);
  if (pteHugeLeaf(pmd)) return isHugeZeroPmd(k, pmd) || pteSpecial(pmd) ? 0 : ptePfn(pmd) + (vpn % k.tables.hugePages);
  const ptep = k.tables.find(pgd, PTE_LEVEL, vpn);
  const pte = ptep === 0 ? 0 : k.tables.get(ptep);
  return ptePresent(pte) && !pteSpecial(pte) ? ptePfn(pte) : 0;
}

/** Isolates the next folio that must move and returns it; 0 at the end. Folios of several processes stay. */
function isolateNext(k: Kernel, mm: number, start: number, end: number, node: number): number {
  for (let vpn = start; vpn < end; vpn++) {
    vpn = nextPopulatedBlock(k, mm, vpn, end);
    if (vpn >= end) return 0;
    const pfn = mappedFrame(k, mm, vpn);
    if (pfn === 0) continue;
    const head = k.pages.head(pfn);
    if (k.pages.node(head) === node || !mappedByOne(k, head, pfn)) continue;
    if (folioIsolateLru(k, head)) return head;
  }
  return 0;
}

/** !folio_maybe_mapped_shared() since v6.9; before, folio_estimated_sharers() of the first page had to be 1. */
function mappedByOne(k: Kernel, head: number, pfn: number): boolean {
  if (since(k.profile, 6, 9) && !k.pages.test(head, PG_HUGETLB)) return !folioMaybeMappedShared(k, head);
  return k.pages.pages(head) === 1
    ? k.pages.totalMapcount(pfn) === 1
    : folioMapcount(k, head) === 1 || k.pages.totalMapcount(head) === 1;
}

/** mbind_range() of each VMA: splits and merges. */
function* bindRange(k: Kernel, t: Thread, start: number, end: number, policy: number): Path<number> {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  for (let at = start; at < end;) {
    const from = at;
    const vma = yield step("for_each_vma_range", () => k.vmas.findIntersection(list, from, end));
    if (vma === 0) return 0;
    const first = yield step("vma->vm_start", () => Math.max(from, k.vmas.start(vma)));
    const last = yield step("vma->vm_end", () => Math.min(end, k.vmas.end(vma)));
    const shape = yield* vmaShape(k, vma);
    if (shape.policy !== policy) {
      const changed = yield* vmaModify(k, t.cpu, vma, first, last, { ...shape, policy });
      if (changed < 0) return changed;
      yield* vmaStartWrite(k, changed);
      yield step("vma_replace_policy", () => {
        k.vmas.setPolicy(changed, policy);
        return 0;
      });
    }
    at = last;
  }
  return 0;
}
