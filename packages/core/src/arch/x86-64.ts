import { PTE_AF, PTE_DIRTY, PTE_HUGE, PTE_NX, PTE_PROTNONE, PTE_SOFT_DIRTY, PTE_SPECIAL, PTE_UFFD_WP, PTE_USER, PTE_VALID, PTE_WRITE } from "../pte.js";
import type { Architecture } from "./architecture.js";

/** x86-64: hardware sets A and D, and walks again before it reports a protection fault, so upgrades need no flush. */
export const x8664: Architecture = {
  name: "x86-64",
  summary: "hardware accessed and dirty bits, flushes by interprocessor interrupt, none on an upgrade",
  writeEncoding: "direct",
  cpu: { HA: true, HD: true },
  setAccessFlags: {
    writes: "changed-and-dirty",
    store: "replace",
    flush: "none",
    returns: "changed",
    updateMmuCache: "nothing",
    spurious: "nothing",
  },
  flush: {
    scope: "cpus",
    ceilingEntries: 34,
    ceilingPages: Infinity,
    roundsToStride: false,
    hook: "after",
    hookSince: [6, 6],
    perVma: false,
    fullmmOnlyWithTables: false,
    batching: "other-cpus",
    batchingSince: [4, 3],
  },
  upgradeFlushFollowsProfile: false,
  clearFlushYoung: "none",
  cpuRewalksOnMissingRight: true,
  cachesInvalid: false,
  mprotectFlush: "when-bits-change",
  contpte: false,
  descriptor: [
    { flag: PTE_VALID, bit: 0, name: "P" },
    { flag: PTE_WRITE, bit: 1, name: "R/W" },
    { flag: PTE_USER, bit: 2, name: "U/S" },
    { flag: PTE_AF, bit: 5, name: "A" },
    { flag: PTE_DIRTY, bit: 6, name: "D" },
    { flag: PTE_HUGE, bit: 7, name: "PS" },
    { flag: PTE_PROTNONE, bit: 8, name: "software PROTNONE (G)" },
    { flag: PTE_SPECIAL, bit: 9, name: "software SPECIAL" },
    { flag: PTE_UFFD_WP, bit: 10, name: "software UFFD_WP" },
    { flag: PTE_SOFT_DIRTY, bit: 11, name: "software SOFT_DIRTY" },
    { flag: PTE_NX, bit: 63, name: "XD" },
  ],
};
