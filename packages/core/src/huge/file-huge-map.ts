import { type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { PG_HWPOISON, PG_LOCKED, PG_UPTODATE } from "../page.js";
import { PMD_LEVEL } from "../page-table.js";
import { mkPte, pteMkhuge, pteNone } from "../pte.js";
import { filemapGet } from "../fault/page-cache.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { VM_FAULT_NOPAGE, type VmFault } from "../fault/vm-fault.js";
import { vmPageProt } from "../fault/vm-page-prot.js";
import { folioAddRmapEntire } from "../rmap/rmap.js";
import { setPteAt } from "../tlb/ptep.js";
import { hugeBase, hugeOrder } from "./huge-zero.js";
import { thpVmaSuitable, vmaThpDisabled } from "./thp-eligible.js";

/**
 * filemap_map_pmd(): fault-around meets a cached folio that is as large as a huge page and maps it with one entry.
 *
 * @returns VM_FAULT_NOPAGE when it did, else 0
 */
export function* mapPmd(k: Kernel, vmf: VmFault): Path<number> {
  const page = yield step("filemap_map_pmd", () => {
    const inode = k.files.inode(k.vmas.file(vmf.vma));
    const pgoff = k.vmas.linearIndex(vmf.vma, vmf.vpn);
    const found = pgoff < k.files.size(inode) ? filemapGet(k, inode, pgoff) : 0;
    const usable = found !== 0 && k.pages.test(found, PG_UPTODATE) && !k.pages.test(found, PG_LOCKED);
    if (!usable || !mappable(k, vmf, found)) return 0;
    k.pages.get(found);
    return found;
  });
  if (page === 0) return 0;
  if (yield* setPmd(k, vmf, page)) return VM_FAULT_NOPAGE;
  yield step("folio_put", () => {
    k.pages.put(page);
    return 0;
  });
  return 0;
}

/** do_set_pmd(): finish_fault() maps the folio of `page` with one entry if it can; takes over the reference. */
export function* mapPmdOf(k: Kernel, vmf: VmFault, page: number): Path<boolean> {
  const usable = yield step("do_set_pmd", () => (mappable(k, vmf, page) ? 1 : 0));
  return usable !== 0 && (yield* setPmd(k, vmf, page));
}

function mappable(k: Kernel, vmf: VmFault, page: number): boolean {
  if (
    k.pages.order(page) !== hugeOrder(k) ||
    !thpVmaSuitable(k, vmf.vma, vmf.vpn) ||
    vmaThpDisabled(k, vmf.mm, vmf.vmFlags)
  )
    return false;
  if (page - k.pages.head(page) !== vmf.vpn % k.tables.hugePages || k.pages.test(page, PG_HWPOISON)) return false;
  const pmdp = k.tables.findOrCreate(k.mms.pgd(vmf.mm), PMD_LEVEL, vmf.vpn);
  return pmdp !== 0 && pteNone(k.tables.get(pmdp));
}

function* setPmd(k: Kernel, vmf: VmFault, page: number): Path<boolean> {
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(vmf.mm), PMD_LEVEL, vmf.vpn));
  yield lockPtl(k, pmdp);
  const head = yield step("pmd_none", () => {
    if (!pteNone(k.tables.get(pmdp))) return 0;
    folioAddRmapEntire(k, page);
    return k.pages.head(page);
  });
  if (head !== 0) {
    const fresh = pteMkhuge(mkPte(head, vmPageProt(k, vmf.vmFlags, vmf.kind)));
    const entry = vmf.write ? k.pte.maybeMkwrite(k.pte.mkdirty(fresh), vmf.vmFlags) : fresh;
    yield setPteAt(k, vmf.mm, hugeBase(k, vmf.vpn), pmdp, entry);
  }
  yield unlockPtl(k, pmdp);
  return head !== 0;
}
