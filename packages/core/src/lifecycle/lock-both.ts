import { type Path, spinLock, spinUnlock } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import type { Ptep } from "../page-table.js";

/** The locks of the child's and the parent's table, in that order. */
export function* lockBoth(k: Kernel, to: Ptep, from: Ptep): Path {
  yield spinLock(k.tables.ptl(k.tables.tableOf(to)));
  yield spinLock(k.tables.ptl(k.tables.tableOf(from)), 1);
}

/** Releases what {@link lockBoth} took. */
export function* unlockBoth(k: Kernel, to: Ptep, from: Ptep): Path {
  yield spinUnlock(k.tables.ptl(k.tables.tableOf(from)));
  yield spinUnlock(k.tables.ptl(k.tables.tableOf(to)));
}
