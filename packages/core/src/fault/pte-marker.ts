import { isPteMarker, type Pte, SWP_MARKER_UFFD_WP, swpType } from "../pte.js";

/** pte_marker_uffd_wp(): nothing is mapped, but the page that comes here is to be write-protected by userfaultfd. */
export function markerUffdWp(pte: Pte): boolean {
  return isPteMarker(pte) && swpType(pte) === SWP_MARKER_UFFD_WP;
}
