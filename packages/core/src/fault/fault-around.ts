import { call, type Path, step } from "@mmu-notifier/steps";
import { INODE_DISK, INODE_SHMEM } from "../file.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_HWPOISON, PG_LOCKED, PG_READAHEAD, PG_UPTODATE } from "../page.js";
import { PTE_LEVEL } from "../page-table.js";
import { folioAddRmap } from "../rmap/rmap.js";
import { storePtes } from "../tlb/contpte.js";
import { VM_UFFD_MINOR, VM_UFFD_WP } from "../vma.js";
import { finishEntry } from "./finish-fault.js";
import { mapPmd } from "../huge/file-huge-map.js";
import { filemapGet } from "./page-cache.js";
import { lockPtl, pteAlloc, unlockPtl } from "./pte-map.js";
import { VM_FAULT_NOPAGE, type VmFault } from "./vm-fault.js";

/** should_fault_around(): the handler maps around, and userfaultfd does not ask for one page at a time. */
export function shouldFaultAround(k: Kernel, vmf: VmFault): boolean {
  if (vmf.kind !== INODE_SHMEM && vmf.kind !== INODE_DISK) return false;
  return k.config.faultAroundPages > 1 && !vmf.has(VM_UFFD_WP | VM_UFFD_MINOR);
}

/**
 * do_fault_around(): maps cached pages of the window around the fault without asking the file system. The window is aligned
 * unless the VMA starts inside it, then it starts there and keeps its length; it ends with the VMA and the page table.
 *
 * @returns VM_FAULT_NOPAGE when the faulting page was among them, else 0
 */
export function doFaultAround(k: Kernel, vmf: VmFault): Path<number> {
  return call("do_fault_around", faultAround(k, vmf));
}

const LARGE = 2;

function* faultAround(k: Kernel, vmf: VmFault): Path<number> {
  const first = yield step("next_uptodate_folio", () => firstUsable(k, vmf));
  if (first === 0) return 0;
  const large = first === LARGE;
  if (large) {
    const huge = yield* mapPmd(k, vmf);
    if (huge !== 0) return huge;
  } else if ((yield step("pmd_none", () => k.tables.find(k.mms.pgd(vmf.mm), PTE_LEVEL, vmf.vpn))) === 0) {
    // Then filemap_map_pmd() is left out, which also makes the page table.
    return 0;
  }
  if (!(yield* pteAlloc(k, vmf))) return 0;
  yield lockPtl(k, vmf.ptep);
  // Entries were none and only gain pages here, so no agent can tell whether they come one by one.
  const mapped = yield step("filemap_map_pages", () => mapWindow(k, vmf, large));
  yield unlockPtl(k, vmf.ptep);
  return mapped;
}

/** Calls `visit` for each page of the window that is cached and may be mapped, until it returns true; whether it did. */
function eachUsable(k: Kernel, vmf: VmFault, visit: (vpn: number, page: number) => boolean): boolean {
  const [from, to] = windowOf(k, vmf);
  const inode = k.files.inode(k.vmas.file(vmf.vma));
  const size = k.files.size(inode);
  for (let vpn = from; vpn < to; vpn++) {
    const pgoff = k.vmas.linearIndex(vmf.vma, vpn);
    const page = pgoff < size ? filemapGet(k, inode, pgoff) : 0;
    if (page === 0 || !k.pages.test(page, PG_UPTODATE) || k.pages.test(page, PG_LOCKED | PG_READAHEAD)) continue;
    if ((k.pages.flags(page) & PG_HWPOISON) === 0 && visit(vpn, page)) return true;
  }
  return false;
}

/** The pages around the fault that are mapped if they are cached. */
function windowOf(k: Kernel, vmf: VmFault): readonly [number, number] {
  const window = Math.min(k.config.faultAroundPages, k.tables.hugePages);
  const table = vmf.vpn - (vmf.vpn % k.tables.hugePages);
  const from = Math.max(vmf.vpn - (vmf.vpn % window), k.vmas.start(vmf.vma));
  // Where the VMA begins inside the window, the window reaches as much further up.
  return [from, Math.min(from + window, table + k.tables.hugePages, k.vmas.end(vmf.vma))];
}

/** Whether a page can be mapped, 0 or 1; LARGE when huge pages and whole folios can be: unless the first folio reaches the end of a disk file. */
function firstUsable(k: Kernel, vmf: VmFault): number {
  let found = 0;
  eachUsable(k, vmf, (_vpn, page) => {
    found = LARGE;
    if (vmf.kind === INODE_DISK && since(k.profile, 6, 18)) {
      const head = k.pages.head(page);
      const end = k.pages.index(head) + k.pages.pages(head);
      if (end >= k.files.size(k.pages.mapping(head))) found = 1;
    }
    return true;
  });
  return found;
}

function mapWindow(k: Kernel, vmf: VmFault, large: boolean): number {
  if (k.tables.find(k.mms.pgd(vmf.mm), PTE_LEVEL, vmf.vpn) !== vmf.ptep) return 0;
  let result = 0;
  let done = 0;
  eachUsable(k, vmf, (vpn, page) => {
    if (vpn < done) return false;
    const [from, to] = folioExtent(k, vmf, vpn, page, large);
    if (mapFolioRange(k, vmf, page + (from - vpn), from, to)) result = VM_FAULT_NOPAGE;
    done = to;
    return false;
  });
  return result;
}

/**
 * Pages of the folio of `page` that are mapped together, within VMA and page table: those of the window, or in some kernels all of a
 * large folio that lies within the VMA (folio_within_vma()) and one page table.
 */
function folioExtent(k: Kernel, vmf: VmFault, vpn: number, page: number, large: boolean): readonly [number, number] {
  const head = k.pages.head(page);
  const first = vpn - (page - head);
  const last = first + k.pages.pages(head);
  const table = vmf.vpn - (vmf.vpn % k.tables.hugePages);
  const within =
    first >= Math.max(k.vmas.start(vmf.vma), table) &&
    last <= Math.min(k.vmas.end(vmf.vma), table + k.tables.hugePages);
  if (!large || !k.profile.faultAroundMapsFolios || !within) return [vpn, Math.min(last, windowOf(k, vmf)[1])];
  return [first, last];
}

/** filemap_map_folio_range(): runs of pages that find no entry and are not broken. True when the fault's own page was among them. */
function mapFolioRange(k: Kernel, vmf: VmFault, page: number, from: number, to: number): boolean {
  let faulted = false;
  for (let at = from; at < to;) {
    const first = at;
    while (at < to && usable(k, vmf, page + (at - from), at)) at++;
    if (at > first) {
      const own = vmf.vpn >= first && vmf.vpn < at;
      setPteRange(k, vmf, page + (first - from), first, at - first, own);
      faulted ||= own;
    }
    at++;
  }
  return faulted;
}

function usable(k: Kernel, vmf: VmFault, page: number, vpn: number): boolean {
  return (k.pages.flags(page) & PG_HWPOISON) === 0 && k.tables.get(vmf.ptep + (vpn - vmf.vpn)) === 0;
}

/** set_pte_range(). */
function setPteRange(k: Kernel, vmf: VmFault, page: number, vpn: number, pages: number, own: boolean): void {
  storePtes(k, vpn, vmf.ptep + (vpn - vmf.vpn), finishEntry(k, vmf, page, !own), pages);
  k.pages.get(page, pages);
  for (let i = 0; i < pages; i++) folioAddRmap(k, page + i);
}
