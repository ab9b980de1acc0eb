import {
  PTE_AF,
  PTE_DIRTY,
  PTE_NX,
  PTE_PROTNONE,
  PTE_SOFT_DIRTY,
  PTE_SPECIAL,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
} from "../pte.js";
import type { Architecture } from "./architecture.js";

/**
 * riscv64 without Svadu and Svvptc: software keeps A and D, the hart may remember that an entry was invalid, and an upgrade is
 * followed by a fence on this hart only; the others fault spuriously.
 */
export const riscv64: Architecture = {
  name: "riscv64",
  summary: "software accessed and dirty bits, local fence after a fault, invalid entries may be cached",
  writeEncoding: "write-and-dirty",
  cpu: { HA: false, HD: false },
  setAccessFlags: {
    writes: "changed",
    store: "replace",
    flush: "none",
    returns: "always",
    updateMmuCache: "local-flush",
    spurious: "flush-page",
    functions: {
      pte: ["ptep_set_access_flags"],
      pmd: ["pmdp_set_access_flags"],
      hugetlb: ["huge_ptep_set_access_flags"],
    },
  },
  flush: {
    scope: "cpus",
    ceilingEntries: 65,
    ceilingPages: Infinity,
    ceilingFlush: "everything",
    ceilingTells: "asked",
    roundsToStride: false,
    hook: "after",
    hookSince: [6, 12],
    perVma: true,
    fullmmOnlyWithTables: false,
    batching: "always",
    batchingSince: [6, 9],
    hugeStride: "entry",
  },
  arm64: false,
  invalidateAdFlushes: true,
  clearFlushYoung: "none",
  cpuRewalksOnMissingRight: false,
  cachesInvalid: true,
  needsFlush: undefined,
  contpte: false,
  softDirty: false,
  foldsP4d: true,
  reclaimsTables: false,
  kernelSharesTree: true,
  descriptor: [
    { flag: PTE_VALID, bit: 0, name: "V" },
    { flag: PTE_WRITE, bit: 2, name: "W" },
    { flag: PTE_NX, bit: 3, name: "X", inverted: true, with: PTE_VALID },
    { flag: PTE_USER, bit: 4, name: "U" },
    { flag: PTE_PROTNONE, bit: 5, name: "software PROT_NONE (G)", without: PTE_VALID },
    { flag: PTE_AF, bit: 6, name: "A" },
    { flag: PTE_DIRTY, bit: 7, name: "D" },
    { flag: PTE_SPECIAL, bit: 8, name: "software SPECIAL" },
    { flag: PTE_SOFT_DIRTY, bit: 9, name: "software SOFT_DIRTY" },
  ],
  constants: [{ bits: 1n << 1n, name: "R", with: PTE_VALID }],
  frameBit: 10,
  frameBits: 44,
};

/** riscv64 with Svvptc: a new valid entry is seen within bounded time, and an upgrade flushes the page on every hart. */
export const riscv64Svvptc: Architecture = {
  ...riscv64,
  name: "riscv64-svvptc",
  summary: "as riscv64, with Svvptc: upgrades flush the page everywhere, invalid entries are not cached",
  setAccessFlags: { ...riscv64.setAccessFlags, flush: "changed", returns: "changed", updateMmuCache: "nothing" },
  cachesInvalid: false,
};
