import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { PG_ANON, PG_KSM } from "../page.js";
import { PTE_LEVEL } from "../page-table.js";
import { ptePfn, ptePresent, pteSpecial } from "../pte.js";
import type { Thread } from "../thread.js";
import { VM_MERGEABLE } from "../vma.js";
import { type KsmPlace, tryToMergeOnePage } from "./merge.js";
import { unmergeKsmPages } from "./unmerge.js";

/**
 * ksmd, until it has seen everything: pages of mergeable memory with equal content become one. Mms and addresses in ascending
 * order. A page joins a merged page that has its content; of two unmerged pages the one found later becomes the merged one.
 *
 * @returns pages that gave way to a merged page
 */
export function ksmRun(k: Kernel, t: Thread): Path<number> {
  return call("ksm_do_scan", scan(k, t.cpu));
}

function* scan(k: Kernel, cpu: number): Path<number> {
  let merged = 0;
  for (let mm = 0; ;) {
    const after = mm;
    mm = yield step("scan_get_next_rmap_item", () => nextMm(k, after));
    if (mm === 0) return merged;
    const lock = k.mms.mmapLock(mm);
    yield downRead(lock);
    merged += yield* scanMm(k, cpu, mm);
    yield upRead(lock);
  }
}

function nextMm(k: Kernel, after: number): number {
  for (let mm = after + 1; mm < k.mms.segment.used; mm++) if (k.mms.isLive(mm) && k.mms.users(mm) > 0) return mm;
  return 0;
}

const NONE = -1;

function* scanMm(k: Kernel, cpu: number, mm: number): Path<number> {
  let merged = 0;
  for (let vpn = 0; ; vpn++) {
    const from = vpn;
    vpn = yield step("scan_get_next_rmap_item", () => nextPlain(k, mm, from));
    if (vpn === NONE) return merged;
    const at = vpn;
    merged += yield* compareAndMerge(k, cpu, yield* placeAt(k, mm, at));
  }
}

function* placeAt(k: Kernel, mm: number, vpn: number): Path<KsmPlace> {
  const vma = yield step("find_mergeable_vma", () => k.vmas.lookup(k.mms.vmaList(mm), vpn));
  return { vma, mm, vpn };
}

/** cmp_and_merge_page(). */
function* compareAndMerge(k: Kernel, cpu: number, place: KsmPlace): Path<number> {
  const { mm, vpn } = place;
  const page = yield step("get_mergeable_page", () => plainPage(k, mm, vpn));
  if (page === 0) return 0;
  const stable = yield step("stable_tree_search", () => mergedPage(k, k.pages.content(page)));
  if (stable !== 0) return (yield* tryToMergeOnePage(k, cpu, place, page, stable)) !== 0 ? 1 : 0;
  // Another mm's twin is found under that mm's lock, which the kernel takes as well; an equal page of this mm needs no other.
  const twin = yield step("unstable_tree_search_insert", () => twinBefore(k, mm, vpn, page));
  if (twin === NONE) return 0;
  const twinMm = yield step("tree_rmap_item->mm", () => mmOfTwin(k, mm, vpn, page));
  const kpage = yield* tryToMergeOnePage(k, cpu, place, page, 0);
  if (kpage === 0) return 0;
  const other = yield* placeAt(k, twinMm, twin);
  const otherPage = yield step("get_mergeable_page", () => plainPage(k, twinMm, twin));
  if (otherPage === 0) return 0;
  const lock = k.mms.mmapLock(twinMm);
  if (twinMm !== mm) yield downRead(lock, 1);
  const merged = yield* tryToMergeOnePage(k, cpu, other, otherPage, kpage);
  if (twinMm !== mm) yield upRead(lock);
  return merged !== 0 ? 1 : 0;
}

/** The anonymous, not merged page at `vpn`, or 0. */
function plainPage(k: Kernel, mm: number, vpn: number): number {
  const ptep = k.tables.find(k.mms.pgd(mm), PTE_LEVEL, vpn);
  const pte = ptep === 0 ? 0 : k.tables.get(ptep);
  if (!ptePresent(pte) || pteSpecial(pte)) return 0;
  const pfn = ptePfn(pte);
  return k.pages.test(pfn, PG_ANON) && !k.pages.test(pfn, PG_KSM) ? pfn : 0;
}

/** The next page from `from` on in mergeable memory that could be merged, or -1. */
function nextPlain(k: Kernel, mm: number, from: number): number {
  const list = k.mms.vmaList(mm);
  for (let i = k.vmas.indexAbove(list, from); i < k.vmas.count(list); i++) {
    const vma = k.vmas.at(list, i);
    if (!k.vmas.has(vma, VM_MERGEABLE) || k.vmas.anonVma(vma) === 0) continue;
    for (let vpn = Math.max(from, k.vmas.start(vma)); vpn < k.vmas.end(vma); vpn++)
      if (plainPage(k, mm, vpn) !== 0) return vpn;
  }
  return NONE;
}

/** A merged page with this content, or 0. */
function mergedPage(k: Kernel, content: number): number {
  for (let pfn = 1; pfn < k.pages.segment.used; pfn++) {
    if (k.pages.isLive(pfn) && (k.pages.flags(pfn) & PG_KSM) !== 0 && k.pages.content(pfn) === content) return pfn;
  }
  return 0;
}

/** The unstable tree holds the pages that were looked at before this one: lower mms, then lower addresses. */
function* candidates(k: Kernel, mm: number, vpn: number): Generator<readonly [number, number]> {
  for (let at = nextMm(k, 0); at !== 0; at = nextMm(k, at)) {
    if (at > mm) return;
    const end = at < mm ? Infinity : vpn;
    for (let page = nextPlain(k, at, 0); page !== NONE && page < end; page = nextPlain(k, at, page + 1))
      yield [at, page];
  }
}

function twin(k: Kernel, mm: number, vpn: number, page: number): readonly [number, number] | undefined {
  const content = k.pages.content(page);
  for (const found of candidates(k, mm, vpn)) {
    const other = plainPage(k, found[0], found[1]);
    if (other !== page && k.pages.content(other) === content) return found;
  }
  return undefined;
}

function twinBefore(k: Kernel, mm: number, vpn: number, page: number): number {
  return twin(k, mm, vpn, page)?.[1] ?? NONE;
}

function mmOfTwin(k: Kernel, mm: number, vpn: number, page: number): number {
  return twin(k, mm, vpn, page)?.[0] ?? 0;
}

/** unmerge_and_remove_all_rmap_items(): "run = 2" gives every merged page back, in every mm. */
export function* ksmUnmergeAll(k: Kernel, t: Thread): Path<number> {
  for (let mm = 0; ;) {
    const after = mm;
    mm = yield step("ksm_mm_head", () => nextMm(k, after));
    if (mm === 0) return 0;
    const at = mm;
    const lock = k.mms.mmapLock(mm);
    yield downRead(lock);
    const list = yield step("mm->mm_mt", () => k.mms.vmaList(at));
    const count = yield step("mm->map_count", () => k.vmas.count(list));
    for (let i = 0; i < count; i++) {
      const vma = yield step("for_each_vma", () => {
        const found = k.vmas.at(list, i);
        return k.vmas.has(found, VM_MERGEABLE) && k.vmas.anonVma(found) !== 0 ? found : 0;
      });
      if (vma === 0) continue;
      const start = yield step("vma->vm_start", () => k.vmas.start(vma));
      const end = yield step("vma->vm_end", () => k.vmas.end(vma));
      const error = yield* unmergeKsmPages(k, t.cpu, vma, start, end);
      if (error !== 0) {
        yield upRead(lock);
        return error;
      }
    }
    yield upRead(lock);
  }
}
