import { call, mightSleep, type Path, step, type Step, waitFor } from "@mmu-notifier/steps";
import { folioFreeSwap } from "../folio.js";
import { readSwapCache } from "../folio-swap.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_ANON_EXCLUSIVE, PG_KSM, PG_LOCKED, PG_MLOCKED, PG_SWAPCACHE } from "../page.js";
import {
  isMigrationEntry,
  mkPte,
  PFN_SHIFT,
  type Pte,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  pteMksoftDirty,
  pteMkuffdWp,
  pteMkyoung,
  SWP_DEVICE_EXCLUSIVE_READ,
  SWP_DEVICE_EXCLUSIVE_WRITE,
  SWP_DEVICE_READ,
  SWP_DEVICE_WRITE,
  SWP_HWPOISON,
  SWP_MARKER_GUARD,
  SWP_MARKER_POISONED,
  SWP_MARKER_UFFD_WP,
  swpExclusive,
  swpOffset,
  swpType,
} from "../pte.js";
import { folioAddAnonRmap, folioAddNewAnonRmap } from "../rmap/rmap.js";
import { setPtes } from "../tlb/contpte.js";
import { setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_LOCKED, VM_WRITE } from "../vma.js";
import { deviceExclusiveFault } from "./device-exclusive.js";
import { devicePrivateFault } from "./device-private.js";
import { releaseFaultLock } from "./fault-lock.js";
import { lockPtl, pteUnchanged, unlockPtl } from "./pte-map.js";
import { doPteMissing } from "./pte-missing.js";
import { userfaultfdWp } from "./userfault.js";
import {
  FAULT_FLAG_VMA_LOCK,
  faultWrite,
  VM_FAULT_HWPOISON,
  VM_FAULT_MAJOR,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
  type VmFault,
} from "./vm-fault.js";
import { vmPageProt } from "./vm-page-prot.js";
import { doWpPage } from "./write-protect-fault.js";

const ONE_PAGE = 1 << PFN_SHIFT;

/** do_swap_page(): the entry is neither none nor present. */
export function doSwapPage(k: Kernel, vmf: VmFault): Path<number> {
  return call("do_swap_page", swapPage(k, vmf));
}

function* swapPage(k: Kernel, vmf: VmFault): Path<number> {
  const entry = vmf.origPte;
  if (isMigrationEntry(entry)) {
    yield migrationEntryWait(k, vmf);
    return 0;
  }
  switch (swpType(entry)) {
    case SWP_DEVICE_EXCLUSIVE_READ:
    case SWP_DEVICE_EXCLUSIVE_WRITE:
      return yield* deviceExclusiveFault(k, vmf);
    case SWP_DEVICE_READ:
    case SWP_DEVICE_WRITE:
      return yield* devicePrivateFault(k, vmf);
    case SWP_HWPOISON:
      return VM_FAULT_HWPOISON;
    case SWP_MARKER_GUARD:
      return VM_FAULT_SIGSEGV;
    case SWP_MARKER_POISONED:
      return since(k.profile, 6, 6) ? VM_FAULT_HWPOISON : VM_FAULT_SIGBUS;
    case SWP_MARKER_UFFD_WP:
      return yield* markerUffdWpFault(k, vmf);
    default:
      return yield* swapIn(k, vmf);
  }
}

/** migration_entry_wait(): sleeps until the page has arrived. */
function migrationEntryWait(k: Kernel, vmf: VmFault): Step {
  const { ptep, origPte } = vmf;
  return waitFor("migration_entry_wait", () => k.tables.get(ptep) !== origPte);
}

/** pte_marker_handle_uffd_wp(): a stale marker goes; in a VMA that is still registered the page is brought in, protected. */
function* markerUffdWpFault(k: Kernel, vmf: VmFault): Path<number> {
  if (userfaultfdWp(vmf)) return yield* doPteMissing(k, vmf);
  yield lockPtl(k, vmf.ptep);
  yield step("pte_marker_clear", () => {
    if (pteUnchanged(k, vmf)) k.tables.set(vmf.ptep, 0);
    return 0;
  });
  yield unlockPtl(k, vmf.ptep);
  return 0;
}

const MAP = 1;
const WRITABLE = 2;

/** The genuine swap entry: reads the page in unless the swap cache has it, and maps it. */
function* swapIn(k: Kernel, vmf: VmFault): Path<number> {
  if ((vmf.flags & FAULT_FLAG_VMA_LOCK) !== 0 && !since(k.profile, 6, 6)) {
    yield* releaseFaultLock(k, vmf);
    return VM_FAULT_RETRY;
  }
  const slot = swpOffset(vmf.origPte);
  const read = yield* swapRead(k, vmf, slot);
  if (read === 0) return 0;
  const pfn = Math.abs(read);
  const major = read < 0 ? VM_FAULT_MAJOR : 0;
  yield waitFor(
    "folio_lock_or_retry",
    () => !k.pages.test(pfn, PG_LOCKED),
    () => {
      k.pages.mark(pfn, PG_LOCKED);
      return 0;
    },
  );
  yield lockPtl(k, vmf.ptep);
  const pages = yield step("swap_pte_batch", () => mapsTogether(k, vmf, pfn));
  const before = pages === 1 ? 0 : yield step("folio_page_idx", () => pfn - k.pages.head(pfn));
  const decision = yield step("swapcache_mapped", () => decide(k, vmf, pfn - before, slot - before, before, pages));
  if (decision === 0) {
    yield unlockPtl(k, vmf.ptep);
    yield unlockPut(k, pfn, true);
    return major;
  }
  const entry = swapEntry(k, vmf, pfn, decision);
  if (pages === 1) yield setPteAt(k, vmf.mm, vmf.vpn, vmf.ptep, entry);
  else {
    const first = entry - before * ONE_PAGE;
    yield* setPtes(k, vmf.cpu, vmf.mm, vmf.vpn - before, vmf.ptep - before, first, pages);
  }
  yield unlockPut(k, pfn, false);
  const consumed = (decision & WRITABLE) !== 0;
  const written = vmf.write && consumed ? faultWrite(k) : 0;
  if (vmf.write && !consumed) {
    // The entry shows read-only for a moment and is upgraded or replaced in the same section.
    vmf.origPte = entry;
    return major | (yield* doWpPage(k, vmf, "doSwapPage"));
  }
  yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  yield unlockPtl(k, vmf.ptep);
  return major | written;
}

/** The page of `slot` with a reference for the fault, from the swap cache, or negative when it had to be read; 0 when the slot is gone. */
function* swapRead(k: Kernel, vmf: VmFault, slot: number): Path<number> {
  yield mightSleep("swapin_readahead");
  return yield step("swapin_readahead", () => {
    if (!pteUnchanged(k, vmf)) return 0;
    const cached = k.swap.cached(slot);
    if (cached !== 0) {
      k.pages.get(cached);
      return cached;
    }
    // Another fault has the page and is about to map it: swapcache_prepare() finds no user of the slot.
    if (k.swap.count(slot) === 0) return 0;
    const pfn = readSwapCache(k, slot);
    k.pages.get(pfn);
    return -pfn;
  });
}

/**
 * Pages that this fault maps at once: those of a whole large folio (since v6.11) when its slots lie in a row in one table, inside the
 * VMA, all alike; else 1. Inside a step.
 */
function mapsTogether(k: Kernel, vmf: VmFault, pfn: number): number {
  const pages = k.pages.pages(pfn);
  if (pages === 1 || !since(k.profile, 6, 11) || !k.pages.test(pfn, PG_SWAPCACHE) || !pteUnchanged(k, vmf)) return 1;
  const before = pfn - k.pages.head(pfn);
  const first = vmf.vpn - before;
  const table = vmf.vpn - (vmf.vpn % k.tables.hugePages);
  if (first < Math.max(table, k.vmas.start(vmf.vma))) return 1;
  if (first + pages > Math.min(table + k.tables.hugePages, k.vmas.end(vmf.vma))) return 1;
  const entry = vmf.origPte - before * ONE_PAGE;
  for (let i = 0; i < pages; i++) if (k.tables.get(vmf.ptep - before + i) !== entry + i * ONE_PAGE) return 1;
  return pages;
}

/**
 * Under folio lock and PTL: whether to map, and with which rights. Moves the bookkeeping of the mappings to the pages.
 *
 * @param pfn first of `pages` pages, whose slots begin at `slot` and whose entries `before` entries before the fault's
 */
function decide(k: Kernel, vmf: VmFault, pfn: number, slot: number, before: number, pages: number): number {
  if (!pteUnchanged(k, vmf)) return 0;
  const ksm = k.pages.test(pfn, PG_KSM);
  const exclusiveEntry = swpExclusive(vmf.origPte) && since(k.profile, 5, 19);
  for (let i = 0; i < pages; i++) k.swap.put(slot + i);
  if (shouldTryToFreeSwap(k, vmf, pfn)) folioFreeSwap(k, pfn);
  const alone = k.pages.refcount(pfn) === 1;
  const exclusive = !ksm && (exclusiveEntry || alone);
  if (k.pages.test(pfn, PG_ANON)) {
    for (let i = 0; i < pages; i++) folioAddAnonRmap(k, pfn + i, vmf.vma, vmf.vpn - before + i, exclusive);
    k.pages.get(pfn, pages - 1);
  } else {
    folioAddNewAnonRmap(k, pfn, vmf.vma, vmf.vpn);
    if (!exclusive) k.pages.unmark(pfn, PG_ANON_EXCLUSIVE);
  }
  const uffdWp = (vmf.origPte & PTE_UFFD_WP) !== 0 && userfaultfdWp(vmf);
  const mayWrite = exclusive && !uffdWp && vmf.has(VM_WRITE) && (vmf.write || mapsWritableOnRead(k, vmf));
  return mayWrite ? MAP | WRITABLE : MAP;
}

/** Since v6.12 (and for a write in every kernel) an exclusive page comes back writable, even on a read. */
function mapsWritableOnRead(k: Kernel, vmf: VmFault): boolean {
  return since(k.profile, 6, 12) && !softDirtyWanted(k, vmf);
}

function softDirtyWanted(k: Kernel, vmf: VmFault): boolean {
  return k.config.softDirty && (vmf.origPte & PTE_SOFT_DIRTY) === 0;
}

/** should_try_to_free_swap(): the memory is locked, or a writer is likely the only user and wants to see that in the references. */
function shouldTryToFreeSwap(k: Kernel, vmf: VmFault, pfn: number): boolean {
  if (!k.pages.test(pfn, PG_SWAPCACHE)) return false;
  if (vmf.has(VM_LOCKED) || k.pages.test(pfn, PG_MLOCKED)) return true;
  return vmf.write && !k.pages.test(pfn, PG_KSM) && k.pages.refcount(pfn) === 1 + k.pages.pages(pfn);
}

function swapEntry(k: Kernel, vmf: VmFault, pfn: number, decision: number): Pte {
  let entry = pteMkyoung(mkPte(pfn, vmPageProt(k, vmf.vmFlags, vmf.kind)));
  if ((vmf.origPte & PTE_SOFT_DIRTY) !== 0) entry = pteMksoftDirty(entry);
  // The mark comes back whatever the VMA says now. Up to v6.11 it takes the write permission away last.
  const marked = (vmf.origPte & PTE_UFFD_WP) !== 0;
  if (marked) entry = pteMkuffdWp(k.pte.wrprotect(entry));
  if ((decision & WRITABLE) === 0 || (marked && !since(k.profile, 6, 12))) return entry;
  return vmf.write ? k.pte.mkwrite(k.pte.mkdirty(entry)) : k.pte.mkwrite(entry);
}

function unlockPut(k: Kernel, pfn: number, put: boolean): Step {
  return step("folio_unlock", () => {
    k.pages.unmark(pfn, PG_LOCKED);
    if (put) k.pages.put(pfn);
    return 0;
  });
}
