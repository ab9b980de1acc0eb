import { freeSwapAndCache } from "../folio.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_DIRTY } from "../page.js";
import {
  isMigrationEntry,
  isPteMarker,
  mkSwp,
  type Pte,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteUffdWp,
  SWP_HWPOISON,
  SWP_MARKER_GUARD,
  SWP_MARKER_UFFD_WP,
  SWP_SWAP,
  swpOffset,
  swpType,
} from "../pte.js";
import type { Ptep } from "../page-table.js";
import { folioRemoveRmap } from "../rmap/rmap.js";
import { VM_UFFD_WP } from "../vma.js";
import type { ZapDetails } from "./zap-details.js";

/** What clearing an entry leaves to do, as bits beside the frame. */
export const ZAP_PRESENT = 1;
/** A dirty page of a file: the TLB must be flushed before the PTL is dropped. */
export const ZAP_DIRTY_FILE = 2;
export const ZAP_BITS = 4;

/** True when a zap with `details` takes `pte` away. Inside a step. */
export function shouldZap(k: Kernel, vma: number, pte: Pte, details: ZapDetails): boolean {
  if (ptePresent(pte)) {
    if (pteSpecial(pte)) return details.folio === 0;
    const pfn = ptePfn(pte);
    if (details.folio !== 0 && k.pages.head(pfn) !== details.folio) return false;
    return details.evenCows || !k.pages.test(pfn, PG_ANON);
  }
  if (isPteMarker(pte)) {
    const type = swpType(pte);
    if (type === SWP_MARKER_GUARD) return details.dropMarkers;
    if (type === SWP_MARKER_UFFD_WP) return k.vmas.file(vma) === 0 || details.dropMarkers;
    return details.evenCows;
  }
  return details.evenCows && details.folio === 0;
}

/**
 * The part of zap_pte_range() that takes one entry away: clears it, with a marker left where userfaultfd protection must
 * survive, and drops its rmap. Inside a step, under the PTL.
 *
 * @returns frame to put after the flush times {@link ZAP_BITS}, plus ZAP_ bits
 */
export function clearEntry(k: Kernel, vma: number, ptep: Ptep, pte: Pte, details: ZapDetails): number {
  k.tables.set(ptep, leftMarker(k, vma, pte, details));
  if (!ptePresent(pte)) return freeNonPresent(k, pte);
  if (pteSpecial(pte)) return ZAP_PRESENT;
  const pfn = ptePfn(pte);
  const anon = k.pages.test(pfn, PG_ANON);
  const dirtyFile = !anon && k.pte.dirty(pte);
  if (dirtyFile) k.pages.mark(pfn, PG_DIRTY);
  folioRemoveRmap(k, pfn);
  return pfn * ZAP_BITS + ZAP_PRESENT + (dirtyFile ? ZAP_DIRTY_FILE : 0);
}

/** pte_install_uffd_wp_if_needed(): a file's page stays write-protected for whoever maps it next. */
function leftMarker(k: Kernel, vma: number, pte: Pte, { dropMarkers }: ZapDetails): Pte {
  const keeps =
    !dropMarkers && pteUffdWp(pte) && k.vmas.file(vma) !== 0 && k.vmas.has(vma, VM_UFFD_WP) && since(k.profile, 5, 19);
  return keeps ? mkSwp(SWP_MARKER_UFFD_WP, 0) : 0;
}

/** free_swap_and_cache() and its kin: what a non-present entry held on to goes. Inside a step. */
export function freeNonPresent(k: Kernel, pte: Pte): number {
  if (isPteMarker(pte)) return 0;
  const type = swpType(pte);
  const offset = swpOffset(pte);
  if (type === SWP_SWAP) {
    freeSwapAndCache(k, offset);
    return 0;
  }
  // A migration entry holds neither a reference nor a map count: whoever migrates has the page.
  if (type === SWP_HWPOISON || isMigrationEntry(pte)) return 0;
  const pfn = offset;
  if (k.pages.totalMapcount(pfn) > 0) folioRemoveRmap(k, pfn);
  return pfn * ZAP_BITS;
}
