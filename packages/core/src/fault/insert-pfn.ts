import { call, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { mkPte, type Pte, pteMkhuge, pteMkspecial, pteMkyoung, pteNone, ptePfn, ptePresent } from "../pte.js";
import { PMD_LEVEL, type Ptep } from "../page-table.js";
import { setPteAt } from "../tlb/ptep.js";
import { ptepSetAccessFlags, updateMmuCache } from "../tlb/set-access-flags.js";
import { lockPtl, pteAlloc, unlockPtl } from "./pte-map.js";
import { notifyProtectionUpgrade, upgradeEventDue, type UpgradeSite } from "./upgrade-event.js";
import { VM_FAULT_FALLBACK, VM_FAULT_NOPAGE, type VmFault } from "./vm-fault.js";
import { vmPageProt } from "./vm-page-prot.js";

const INSTALL = 1;
const UPGRADE = 2;
const LEAVE = 3;

/**
 * insert_pfn(): maps a frame without struct page. With `mkwrite` an entry that maps the same frame already becomes writable in
 * place: the patch's second site. Always VM_FAULT_NOPAGE.
 *
 * @param mkwrite vmf_insert_mixed_mkwrite(): a write fault of a DAX file
 */
export function insertPfn(k: Kernel, vmf: VmFault, pfn: number, mkwrite: boolean): Path<number> {
  return call("insert_pfn", insert(k, vmf, pfn, mkwrite));
}

function* insert(k: Kernel, vmf: VmFault, pfn: number, mkwrite: boolean): Path<number> {
  if (!(yield* pteAlloc(k, vmf))) return VM_FAULT_NOPAGE;
  const fresh = pteMkspecial(mkPte(pfn, vmPageProt(k, vmf.vmFlags, vmf.kind)));
  const result = yield* placeEntry(k, vmf, vmf.ptep, fresh, mkwrite, "insert_pfn");
  if (upgradeEventDue(k, "insertPfn", "after-ptl", result))
    yield* notifyProtectionUpgrade(k, vmf.mm, vmf.vpn, vmf.vpn + 1);
  return VM_FAULT_NOPAGE;
}

/** insert_pfn_pmd(): the same with one huge entry. `pfn` is the first frame of the block. */
export function insertPfnPmd(k: Kernel, vmf: VmFault, pfn: number, write: boolean): Path<number> {
  return call("insert_pfn_pmd", insertPmd(k, vmf, pfn, write));
}

function* insertPmd(k: Kernel, vmf: VmFault, pfn: number, write: boolean): Path<number> {
  const pages = k.tables.hugePages;
  const base = vmf.vpn - (vmf.vpn % pages);
  const pmdp = yield step("pmd_alloc", () => k.tables.findOrCreate(k.mms.pgd(vmf.mm), PMD_LEVEL, vmf.vpn));
  if (pmdp === 0) return VM_FAULT_FALLBACK;
  const fresh = pteMkhuge(pteMkspecial(mkPte(pfn, vmPageProt(k, vmf.vmFlags, vmf.kind))));
  const site: UpgradeSite = "insertPfnPmd";
  const result = yield* placeEntry(k, vmf, pmdp, fresh, write, "insert_pfn_pmd");
  if (upgradeEventDue(k, site, "after-ptl", result)) yield* notifyProtectionUpgrade(k, vmf.mm, base, base + pages);
  return VM_FAULT_NOPAGE;
}

/**
 * Installs `fresh`, or upgrades what maps the same frame; returns what set_access_flags said.
 *
 * @param count takes the reference and the mapping of a counted page, inside a step; frames without struct page have none
 */
export function* placeEntry(
  k: Kernel,
  vmf: VmFault,
  ptep: Ptep,
  fresh: Pte,
  mkwrite: boolean,
  site: string,
  count?: () => void,
): Path<number> {
  yield lockPtl(k, ptep);
  const present = yield step("pte_none", () => k.tables.get(ptep));
  const decision = pteNone(present)
    ? INSTALL
    : mkwrite && ptePresent(present) && ptePfn(present) === ptePfn(fresh)
      ? UPGRADE
      : LEAVE;
  let result = 0;
  if (decision === INSTALL) {
    const entry = mkwrite ? writable(k, vmf, fresh) : fresh;
    if (count !== undefined) {
      yield step("folio_get, folio_add_file_rmap_pte", () => {
        count();
        return 0;
      });
    }
    yield setPteAt(k, vmf.mm, vmf.vpn, ptep, entry);
    yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  } else if (decision === UPGRADE) {
    const entry =
      count === undefined ? writable(k, vmf, present) : k.pte.maybeMkwrite(pteMkyoung(present), vmf.vmFlags);
    result = yield* ptepSetAccessFlags(k, vmf.cpu, vmf.mm, vmf.vpn, ptep, entry, true, site);
    if (result !== 0) yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  }
  yield unlockPtl(k, ptep);
  return result;
}

function writable(k: Kernel, vmf: VmFault, pte: Pte): Pte {
  return k.pte.maybeMkwrite(k.pte.mkdirty(pteMkyoung(pte)), vmf.vmFlags);
}
