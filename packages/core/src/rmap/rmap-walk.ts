import { downRead, downWrite, inline, type Lock, type Path, step, upRead, upWrite } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { PG_ANON, PG_KSM } from "../page.js";
import { PTE_LEVEL } from "../page-table.js";
import { nextAnonVma } from "../vma/anon-vma-links.js";
import { lastIndex, nextFileVma } from "../vma/file-links.js";
import { isMigrationEntry, ptePfn, ptePresent, swpOffset } from "../pte.js";

/** A VMA that may map a folio, and where: pages [start, end). */
export interface RmapTarget {
  readonly vma: number;
  readonly mm: number;
  readonly start: number;
  readonly end: number;
}

/** How the lock of the folio's object is taken: for reading, for writing (hugetlb, which may unshare tables), or the caller has it. */
export type RmapLocking = "read" | "write" | "held";

/**
 * rmap_walk(): calls `visit` for each VMA that may map the folio, in the order of the interval trees: by the file page that a
 * VMA begins with, and the older of equals first. Stops when `visit` returns false. The folio is locked, which keeps its object.
 */
export function* rmapWalk(
  k: Kernel,
  head: number,
  visit: (target: RmapTarget) => Path<boolean>,
  locking: RmapLocking = "read",
): Path {
  const ksm = yield step("folio_test_ksm", () => (k.pages.test(head, PG_KSM) ? 1 : 0));
  const lock = ksm === 0 ? yield* rmapLock(k, head) : undefined;
  if (ksm === 0 && lock === undefined) return;
  if (lock !== undefined && locking !== "held") yield locking === "read" ? downRead(lock) : downWrite(lock);
  for (let vma = 0, goesOn = true; goesOn;) {
    const after = vma;
    vma = yield step("rmap_walk", () => (ksm === 0 ? nextRmapVma(k, head, after) : nextKsmVma(k, head, after)));
    if (vma === 0) break;
    const here = vma;
    const mm = yield step("vma->vm_mm", () => k.vmas.mm(here));
    const start = yield step("vma_address", () => folioVmaStart(k, here, head));
    const end = yield step("vma_address_end", () => folioVmaEnd(k, here, head));
    // A merged page has no lock of its own: each of its places is visited under that VMA's anon_vma.
    const root = ksm === 0 ? 0 : yield step("rmap_item->anon_vma", () => k.anonVmas.root(k.vmas.anonVma(here)));
    if (root !== 0) yield downRead(k.anonVmas.lockOfRoot(root));
    goesOn = yield* inline(visit({ vma, mm, start, end }));
    if (root !== 0) yield upRead(k.anonVmas.lockOfRoot(root));
  }
  if (lock !== undefined && locking !== "held") yield locking === "read" ? upRead(lock) : upWrite(lock);
}

/** The lock that keeps the VMAs of a folio's object: the anon_vma root's or the file's. */
function* rmapLock(k: Kernel, head: number): Path<Lock | undefined> {
  const anonRoot = yield step("folio_anon_vma", () => {
    const mapping = k.pages.mapping(head);
    return k.pages.test(head, PG_ANON) && mapping !== 0 ? k.anonVmas.root(mapping) : 0;
  });
  if (anonRoot !== 0) return k.anonVmas.lockOfRoot(anonRoot);
  const inode = yield step("folio_mapping", () => (k.pages.test(head, PG_ANON) ? 0 : k.pages.mapping(head)));
  return inode === 0 ? undefined : k.files.iMmapLock(inode);
}

/** The next VMA after `after` (0: the first) whose pages include one of the folio. Inside a step. */
export function nextRmapVma(k: Kernel, head: number, after: number): number {
  const mapping = k.pages.mapping(head);
  if (mapping === 0) return 0;
  const first = k.pages.index(head);
  const end = first + k.pages.pages(head);
  const covers = (vma: number): boolean => k.vmas.pgoff(vma) < end && lastIndex(k, vma) > first;
  if (!k.pages.test(head, PG_ANON)) return nextFileVma(k, mapping, after, covers);
  return nextAnonVma(k, mapping, after, covers);
}

/** vma_address(): the first page of `vma` that maps any page of the folio; inside a step. */
export function folioVmaStart(k: Kernel, vma: number, head: number): number {
  if (k.pages.test(head, PG_KSM)) return ksmAddress(k, vma, head);
  return Math.max(k.vmas.start(vma), k.vmas.start(vma) + (k.pages.index(head) - k.vmas.pgoff(vma)));
}

/** vma_address_end(): page after the last of `vma` that maps any page of the folio; inside a step. */
export function folioVmaEnd(k: Kernel, vma: number, head: number): number {
  if (k.pages.test(head, PG_KSM)) return k.vmas.end(vma);
  return Math.min(k.vmas.end(vma), k.vmas.start(vma) + (k.pages.index(head) - k.vmas.pgoff(vma)) + k.pages.pages(head));
}

/** rmap_walk_ksm(): the stable node knows every place of a merged page; here the page tables themselves are asked. */
function nextKsmVma(k: Kernel, head: number, after: number): number {
  for (let vma = after + 1; vma < k.vmas.segment.used; vma++) {
    if (k.vmas.segment.isLive(vma) && k.vmas.anonVma(vma) !== 0 && ksmAddress(k, vma, head) >= 0) return vma;
  }
  return 0;
}

/** The first page of `vma` whose entry maps the merged page or waits for it to arrive; -1 when there is none. */
function ksmAddress(k: Kernel, vma: number, head: number): number {
  const pgd = k.mms.pgd(k.vmas.mm(vma));
  const end = k.vmas.end(vma);
  const span = k.tables.hugePages;
  for (let vpn = k.vmas.start(vma); vpn < end;) {
    const next = Math.min(end, vpn - (vpn % span) + span);
    const ptep = k.tables.find(pgd, PTE_LEVEL, vpn);
    const entries = ptep === 0 ? 0 : next - vpn;
    for (let i = 0; i < entries; i++) {
      const pte = k.tables.get(ptep + i);
      if ((ptePresent(pte) && ptePfn(pte) === head) || (isMigrationEntry(pte) && swpOffset(pte) === head))
        return vpn + i;
    }
    vpn = next;
  }
  return -1;
}
