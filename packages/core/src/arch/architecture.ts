import type { Pte } from "../pte.js";

/** How far a TLB invalidation reaches: every agent of the inner-shareable domain, this CPU only, or nobody. */
export type FlushScope = "inner-shareable" | "local" | "none";

/** What ptep_set_access_flags() does, as data (KMM reference: the table of architectures). */
export interface SetAccessFlagsRules {
  /** When the entry is written: whenever it differs, or only if it differs and `dirty` is asked for. */
  readonly writes: "changed" | "changed-and-dirty";
  /** When a TLB flush of the page follows: never, when the entry changed, or when it changed and `dirty`. */
  readonly flush: "none" | "changed" | "changed-and-dirty";
  /** What is returned: whether the entry changed, or always true. */
  readonly returns: "changed" | "always";
  /** What update_mmu_cache() does afterwards. */
  readonly updateMmuCache: "nothing" | "local-flush" | "preload";
  /** flush_tlb_fix_spurious_fault(). */
  readonly spurious: "nothing" | "flush-page";
}

/** Where a packed bit lies in the real 64-bit descriptor. */
export interface DescriptorBit {
  /** The packed PTE_ bit. */
  readonly flag: number;
  /** Bit number in the descriptor. */
  readonly bit: number;
  /** The manual's name, for instance `AP[2]`. */
  readonly name: string;
  /** True when the descriptor bit is set where the packed one is clear (riscv X against PTE_NX). */
  readonly inverted?: boolean;
}

/** An architecture, as data; the operations on entries follow from it. */
export interface Architecture {
  readonly name: string;
  /**
   * How write permission and dirtiness are encoded.
   * - `dbm`: arm64. PTE_WRITE is DBM, hardware refuses writes while PTE_RDONLY is set, a dirty entry is one with RDONLY clear or software DIRTY.
   * - `direct`: x86. PTE_WRITE lets writes through; hardware sets PTE_DIRTY.
   * - `write-and-dirty`: riscv64 without Svadu, sparc64, ia64. Hardware lets writes through only when WRITE and DIRTY are both set.
   */
  readonly writeEncoding: "dbm" | "direct" | "write-and-dirty";
  /** What the CPU's walker does by itself: set the access flag (HA), manage the dirty state (HD). */
  readonly cpu: { readonly HA: boolean; readonly HD: boolean };
  readonly setAccessFlags: SetAccessFlagsRules;
  /** Reach of ordinary user TLB flushes. */
  readonly flushScope: FlushScope;
  /** A CPU that misses a right in its TLB walks again before it faults. */
  readonly cpuRewalksOnMissingRight: boolean;
  /** Pages above which a range flush becomes a flush of the whole mm. */
  readonly flushCeilingPages: number;
  /** pte_needs_flush(): whether changing an entry to a different one that was present needs a flush. */
  readonly mprotectFlush: "always" | "when-bits-change";
  /** The CPU may fold 16 contiguous entries (contpte). */
  readonly contpte: boolean;
  readonly descriptor: readonly DescriptorBit[];
}

/** One word and its meaning, for the operations that an architecture defines on entries. */
export type PteOp = (pte: Pte) => Pte;
