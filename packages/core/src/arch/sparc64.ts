import { PTE_AF, PTE_DIRTY, PTE_NX, PTE_PROTNONE, PTE_SPECIAL, PTE_VALID, PTE_WRITE } from "../pte.js";
import type { Architecture } from "./architecture.js";

/**
 * sparc64 (sun4v descriptors): accessed and dirty are software's; hardware gets its write bit only when an entry is writable and
 * modified. Storing over a valid entry flushes the old one from TLB and TSB. Real base pages have 8 KiB; the model keeps 4.
 */
export const sparc64: Architecture = {
  name: "sparc64",
  summary: "software accessed and dirty bits, every store over a valid entry flushes it from TLB and TSB",
  writeEncoding: "write-and-dirty",
  cpu: { HA: false, HD: false },
  setAccessFlags: {
    writes: "changed",
    store: "replace",
    flush: "changed",
    returns: "changed",
    updateMmuCache: "preload",
    spurious: "nothing",
    functions: {
      pte: ["ptep_set_access_flags"],
      pmd: ["pmdp_set_access_flags"],
      hugetlb: ["huge_ptep_set_access_flags"],
    },
  },
  flush: {
    scope: "cpus",
    ceilingEntries: Infinity,
    ceilingPages: Infinity,
    ceilingFlush: "mm",
    ceilingTells: "asked",
    roundsToStride: false,
    hook: "never",
    hookSince: [6, 6],
    perVma: true,
    fullmmOnlyWithTables: false,
    batching: "never",
    batchingSince: [6, 6],
    hugeStride: "entry",
  },
  arm64: false,
  invalidateAdFlushes: true,
  clearFlushYoung: "flush-page",
  cpuRewalksOnMissingRight: false,
  cachesInvalid: false,
  needsFlush: undefined,
  contpte: false,
  softDirty: false,
  foldsP4d: false,
  reclaimsTables: false,
  kernelSharesTree: false,
  descriptor: [
    { flag: PTE_VALID, bit: 63, name: "VALID" },
    { flag: PTE_DIRTY, bit: 61, name: "software MODIFIED" },
    { flag: PTE_AF, bit: 60, name: "software ACCESSED" },
    { flag: PTE_WRITE, bit: 58, name: "software WRITE" },
    { flag: PTE_SPECIAL, bit: 57, name: "software SPECIAL" },
    { flag: PTE_NX, bit: 7, name: "EXEC", inverted: true, with: PTE_VALID },
    { flag: PTE_PROTNONE, bit: 4, name: "software PRESENT", without: PTE_VALID },
  ],
  constants: [
    { bits: 1n << 59n, name: "software READ", with: PTE_VALID },
    { bits: (1n << 10n) | (1n << 9n), name: "CP, CV", with: PTE_VALID },
    { bits: 1n << 4n, name: "software PRESENT", with: PTE_VALID },
    { bits: 1n << 6n, name: "W", with: PTE_VALID | PTE_WRITE | PTE_DIRTY },
  ],
  frameBit: 12,
  frameBits: 44,
};
