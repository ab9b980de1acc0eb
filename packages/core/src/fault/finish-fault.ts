import { call, type Path, step } from "@mmu-notifier/steps";
import { INODE_DISK, INODE_SHMEM } from "../file.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { MMF_UNSTABLE } from "../mm.js";
import { PG_DIRTY } from "../page.js";
import { mkPte, type Pte, pteMkold, pteMkuffdWp, pteMkyoung, pteWrite } from "../pte.js";
import { mapPmdOf } from "../huge/file-huge-map.js";
import { folioAddNewAnonRmap, folioAddRmap } from "../rmap/rmap.js";
import { setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_SHARED, VM_UFFD_MINOR, VM_UFFD_MISSING, VM_UFFD_WP } from "../vma.js";
import { lockPtl, pteAlloc, pteUnchanged, unlockPtl } from "./pte-map.js";
import { markerUffdWp } from "./pte-marker.js";
import { VM_FAULT_NOPAGE, VM_FAULT_SIGBUS, type VmFault } from "./vm-fault.js";
import { vmPageProt } from "./vm-page-prot.js";

const CHANGED = 0;
const INSTALL = 1;
const UNSTABLE = 2;

/** A write to a private mapping installs an anonymous copy. */
const isCow = (vmf: VmFault): boolean => vmf.write && !vmf.has(VM_SHARED);

/**
 * The entry that set_pte_range() makes. Pages mapped around the fault are old where hardware sets the access flag by itself.
 * Inside a step.
 *
 * @param prefault not the page that was accessed
 */
export function finishEntry(k: Kernel, vmf: VmFault, page: number, prefault: boolean): Pte {
  const fresh = mkPte(page, vmPageProt(k, vmf.vmFlags, vmf.kind));
  let entry = prefault && wantsOldPrefaultedPte(k) ? pteMkold(fresh) : pteMkyoung(fresh);
  if (vmf.write && !prefault) entry = k.pte.maybeMkwrite(k.pte.mkdirty(entry), vmf.vmFlags);
  else if (pteWrite(entry) && since(k.profile, 6, 15) && k.pages.test(page, PG_DIRTY)) entry = k.pte.mkdirty(entry);
  return markerUffdWp(vmf.origPte) ? pteMkuffdWp(k.pte.wrprotect(entry)) : entry;
}

function wantsOldPrefaultedPte(k: Kernel): boolean {
  return k.arch.writeEncoding === "dbm" && k.arch.cpu.HA && since(k.profile, 5, 12);
}

/**
 * finish_fault(): maps `page` (with a reference that passes to the mapping, locked or a fresh copy) where nothing was mapped.
 *
 * @returns 0, VM_FAULT_NOPAGE when somebody else was faster, or an error
 */
export function finishFault(k: Kernel, vmf: VmFault, page: number): Path<number> {
  return call("finish_fault", finish(k, vmf, page));
}

function* finish(k: Kernel, vmf: VmFault, page: number): Path<number> {
  const cow = isCow(vmf);
  if (!vmf.has(VM_SHARED)) {
    const unstable = yield step("check_stable_address_space", () => k.mms.flags(vmf.mm) & MMF_UNSTABLE);
    if (unstable !== 0) return VM_FAULT_SIGBUS;
  }
  const single = cow || (yield step("folio_next_index", () => (crossesEnd(k, vmf, page) ? 1 : 0))) !== 0;
  if (!single) {
    const huge = yield* mapPmdOf(k, vmf, page);
    if (huge) return 0;
  }
  if (!(yield* pteAlloc(k, vmf))) return VM_FAULT_NOPAGE;
  yield lockPtl(k, vmf.ptep);
  const decision = yield step("vmf_pte_changed", () => {
    if (!pteUnchanged(k, vmf)) return CHANGED;
    if (!cow && (k.mms.flags(vmf.mm) & MMF_UNSTABLE) !== 0 && !vmf.has(VM_SHARED)) return UNSTABLE;
    if (cow) folioAddNewAnonRmap(k, page, vmf.vma, vmf.vpn);
    else if (!single && wholeFolio(k, vmf, page)) mapRest(k, vmf, page);
    if (!cow) folioAddRmap(k, page);
    return INSTALL;
  });
  if (decision === INSTALL) {
    const entry = yield step("mk_pte", () => finishEntry(k, vmf, page, false));
    yield setPteAt(k, vmf.mm, vmf.vpn, vmf.ptep, entry);
    yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  }
  yield unlockPtl(k, vmf.ptep);
  if (decision === UNSTABLE) return VM_FAULT_SIGBUS;
  return decision === INSTALL ? 0 : VM_FAULT_NOPAGE;
}

/** Since v6.18 nothing of a disk file is mapped behind its end. Inside a step. */
function crossesEnd(k: Kernel, vmf: VmFault, page: number): boolean {
  if (vmf.kind !== INODE_DISK || !since(k.profile, 6, 18)) return false;
  const head = k.pages.head(page);
  return k.pages.index(head) + k.pages.pages(head) > k.files.size(k.pages.mapping(head));
}

/** A large folio that lies within VMA and page table is mapped whole: of shmem since v6.11, of any file since v6.18. Inside a step. */
function wholeFolio(k: Kernel, vmf: VmFault, page: number): boolean {
  const pages = k.pages.pages(page);
  if (
    pages === 1 ||
    (vmf.kind !== INODE_SHMEM && !since(k.profile, 6, 18)) ||
    vmf.has(VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR) ||
    !since(k.profile, 6, 11)
  )
    return false;
  const before = page - k.pages.head(page);
  const first = vmf.vpn - before;
  const inTable = vmf.vpn % k.tables.hugePages;
  if (
    first < k.vmas.start(vmf.vma) ||
    first + pages > k.vmas.end(vmf.vma) ||
    inTable < before ||
    inTable - before + pages > k.tables.hugePages
  )
    return false;
  for (let i = 0; i < pages; i++) if (i !== before && k.tables.get(vmf.ptep - before + i) !== 0) return false;
  return true;
}

function mapRest(k: Kernel, vmf: VmFault, page: number): void {
  const head = k.pages.head(page);
  const pages = k.pages.pages(page);
  for (let other = head; other < head + pages; other++) {
    if (other === page) continue;
    k.tables.set(vmf.ptep + (other - page), finishEntry(k, vmf, other, false));
    k.pages.get(other);
    folioAddRmap(k, other);
  }
}
