import {
  PTE_AF,
  PTE_CONT,
  PTE_DIRTY,
  PTE_HUGE,
  PTE_NX,
  PTE_PROTNONE,
  PTE_RDONLY,
  PTE_SPECIAL,
  PTE_UFFD_WP,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
} from "../pte.js";
import type { Architecture } from "./architecture.js";

/** All but what only software looks at: DIRTY, SPECIAL, UFFD_WP. DBM is hardware's. */
const HARDWARE_BITS = PTE_VALID | PTE_USER | PTE_RDONLY | PTE_AF | PTE_WRITE | PTE_CONT | PTE_NX;

/**
 * arm64 with 4 KiB pages on a CPU without hardware access-flag and dirty management (Cortex-A72): every read-only to
 * read-write upgrade is a fault, and the entry gets writable without break-before-make.
 */
export const arm64: Architecture = {
  name: "arm64",
  summary: "4 KiB pages, software access flag and dirty state, broadcast TLBI",
  writeEncoding: "dbm",
  cpu: { HA: false, HD: false },
  setAccessFlags: {
    writes: "changed",
    store: "merge",
    flush: "changed-and-dirty",
    returns: "changed",
    updateMmuCache: "nothing",
    spurious: "nothing",
    functions: {
      pte: ["ptep_set_access_flags"],
      pmd: ["ptep_set_access_flags"],
      hugetlb: ["huge_ptep_set_access_flags", "ptep_set_access_flags"],
    },
  },
  flush: {
    scope: "inner-shareable",
    ceilingEntries: 512,
    ceilingPages: 2 ** 21,
    ceilingFlush: "mm",
    ceilingTells: "asked",
    roundsToStride: true,
    hook: "before-completion",
    hookSince: [6, 6],
    perVma: true,
    fullmmOnlyWithTables: true,
    batching: "always",
    batchingSince: [6, 6],
    hugeStride: "entry",
  },
  arm64: true,
  invalidateAdFlushes: true,
  clearFlushYoung: "nosync",
  cpuRewalksOnMissingRight: false,
  cachesInvalid: false,
  needsFlush: { since: [6, 19], onChange: HARDWARE_BITS, onClear: 0, onClearHuge: 0 },
  contpte: true,
  softDirty: false,
  foldsP4d: false,
  reclaimsTables: false,
  kernelSharesTree: false,
  descriptor: [
    { flag: PTE_VALID, bit: 0, name: "valid" },
    { flag: PTE_USER, bit: 6, name: "AP[1]" },
    { flag: PTE_RDONLY, bit: 7, name: "AP[2]" },
    { flag: PTE_AF, bit: 10, name: "AF" },
    { flag: PTE_WRITE, bit: 51, name: "DBM" },
    { flag: PTE_CONT, bit: 52, name: "CONT" },
    { flag: PTE_NX, bit: 54, name: "UXN" },
    { flag: PTE_DIRTY, bit: 55, name: "software DIRTY" },
    { flag: PTE_SPECIAL, bit: 56, name: "software SPECIAL" },
    { flag: PTE_PROTNONE, bit: 58, name: "software PROT_NONE", without: PTE_VALID, until: [6, 10] },
    { flag: PTE_PROTNONE, bit: 11, name: "software PRESENT_INVALID", without: PTE_VALID, since: [6, 10] },
    { flag: PTE_UFFD_WP, bit: 58, name: "software UFFD_WP", since: [6, 10] },
  ],
  constants: [
    { bits: 1n << 1n, name: "page descriptor", with: PTE_VALID, without: PTE_HUGE },
    { bits: (3n << 8n) | (1n << 11n) | (1n << 53n), name: "SH inner shareable, nG, PXN", with: PTE_VALID },
    { bits: (3n << 8n) | (1n << 53n), name: "SH inner shareable, PXN", without: PTE_VALID },
  ],
  frameBit: 12,
  frameBits: 36,
};

/** arm64 with FEAT_HAFDBS and FEAT_TLBIRANGE: hardware sets AF and clears AP[2] of entries with DBM by itself. */
export const arm64Hafdbs: Architecture = {
  ...arm64,
  name: "arm64-hafdbs",
  summary: "4 KiB pages, hardware access flag and dirty state (FEAT_HAFDBS), broadcast TLBI by range",
  cpu: { HA: true, HD: true },
  flush: { ...arm64.flush, ceilingEntries: Infinity },
};
