import { call, type Path, step } from "@mmu-notifier/steps";
import { INODE_DISK, INODE_SHMEM } from "../file.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_HWPOISON, PG_LOCKED, PG_READAHEAD, PG_UPTODATE } from "../page.js";
import { PTE_LEVEL } from "../page-table.js";
import { folioAddRmap } from "../rmap/rmap.js";
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

function* faultAround(k: Kernel, vmf: VmFault): Path<number> {
  const any = yield step("next_uptodate_folio", () => (firstUsable(k, vmf) ? 1 : 0));
  if (any === 0) return 0;
  const huge = yield* mapPmd(k, vmf);
  if (huge !== 0) return huge;
  if (!(yield* pteAlloc(k, vmf))) return 0;
  yield lockPtl(k, vmf.ptep);
  // Entries were none and only gain pages here, so no agent can tell whether they come one by one.
  const mapped = yield step("filemap_map_pages", () => mapWindow(k, vmf));
  yield unlockPtl(k, vmf.ptep);
  return mapped;
}

/** Calls `visit` for each page of the window that is cached and may be mapped, until it returns true; whether it did. */
function eachUsable(k: Kernel, vmf: VmFault, visit: (vpn: number, page: number) => boolean): boolean {
  const window = Math.min(k.config.faultAroundPages, k.tables.hugePages);
  const table = vmf.vpn - (vmf.vpn % k.tables.hugePages);
  const from = Math.max(vmf.vpn - (vmf.vpn % window), k.vmas.start(vmf.vma));
  // Where the VMA begins inside the window, the window reaches as much further up.
  const to = Math.min(from + window, table + k.tables.hugePages, k.vmas.end(vmf.vma));
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

function firstUsable(k: Kernel, vmf: VmFault): boolean {
  return eachUsable(k, vmf, () => true);
}

function mapWindow(k: Kernel, vmf: VmFault): number {
  if (k.tables.find(k.mms.pgd(vmf.mm), PTE_LEVEL, vmf.vpn) !== vmf.ptep) return 0;
  let result = 0;
  eachUsable(k, vmf, (vpn, page) => {
    const [from, to] = since(k.profile, 6, 18) ? folioExtent(k, vmf, vpn, page) : [vpn, vpn + 1];
    for (let at = from; at < to; at++) {
      if (mapOne(k, vmf, at, page + (at - vpn)) && at === vmf.vpn) result = VM_FAULT_NOPAGE;
    }
    return false;
  });
  return result;
}

/** Pages that the folio of `page` covers, within VMA and page table: since v6.18 a large folio is mapped beyond the window. */
function folioExtent(k: Kernel, vmf: VmFault, vpn: number, page: number): readonly [number, number] {
  const head = k.pages.head(page);
  const first = vpn - (page - head);
  const table = vmf.vpn - (vmf.vpn % k.tables.hugePages);
  const from = Math.max(first, table, k.vmas.start(vmf.vma));
  const to = Math.min(first + k.pages.pages(head), table + k.tables.hugePages, k.vmas.end(vmf.vma));
  return [from, to];
}

function mapOne(k: Kernel, vmf: VmFault, vpn: number, page: number): boolean {
  const ptep = vmf.ptep + (vpn - vmf.vpn);
  if (k.tables.get(ptep) !== 0) return false;
  k.tables.set(ptep, finishEntry(k, vmf, page, vpn !== vmf.vpn));
  k.pages.get(page);
  folioAddRmap(k, page);
  return true;
}
