/**
 * How far a TLB invalidation reaches: every agent of the inner-shareable domain (broadcast, devices with BTM included), every
 * CPU by interrupt and no device, this CPU only, or nobody.
 */
export type FlushScope = "inner-shareable" | "cpus" | "local" | "none";

/** What ptep_set_access_flags() does, as data. */
export interface SetAccessFlagsRules {
  /** When the entry is written: whenever it differs, or only if it differs and `dirty` is asked for. */
  readonly writes: "changed" | "changed-and-dirty";
  /**
   * What is written: `merge` ORs the new rights into the entry as it is then, so that bits set by hardware meanwhile stay
   * (arm64's cmpxchg); `replace` stores the wanted entry.
   */
  readonly store: "merge" | "replace";
  /** When a TLB flush of the page follows: never, when the entry changed, or when it changed and `dirty`. */
  readonly flush: "none" | "changed" | "changed-and-dirty";
  /** What is returned: whether the entry changed, or always true. */
  readonly returns: "changed" | "always";
  /** The functions an observer sees called, outermost first, for an entry of the last level, a huge one, one of hugetlb. */
  readonly functions: {
    readonly pte: readonly string[];
    readonly pmd: readonly string[];
    readonly hugetlb: readonly string[];
  };
  /** What update_mmu_cache() does afterwards. */
  readonly updateMmuCache: "nothing" | "local-flush" | "preload";
  /** flush_tlb_fix_spurious_fault(). */
  readonly spurious: "nothing" | "flush-page";
}

/** How an architecture's flush functions work, as data. */
export interface FlushRules {
  /** Reach of ordinary user TLB flushes. */
  readonly scope: FlushScope;
  /** flush_tlb_range() becomes a flush of the whole mm from this many entries of the flush's stride on. */
  readonly ceilingEntries: number;
  /** ... or from this many base pages on, whatever the stride. */
  readonly ceilingPages: number;
  /**
   * What a range above the ceiling becomes: a call of flush_tlb_mm(), or the same flush of everything (the profile says what the
   * hook is told then).
   */
  readonly ceilingFlush: "mm" | "everything";
  /** What the hook is told then: the range asked for, or what the profile's x86HookRange says. */
  readonly ceilingTells: "asked" | "profile";
  /** The range is widened to multiples of the stride before it is flushed and told. */
  readonly roundsToStride: boolean;
  /**
   * When the flush functions call the event-less hook (in kernels where they do): after the invalidation was issued and before
   * its completion is waited for, after completion, or never.
   */
  readonly hook: "before-completion" | "after" | "never";
  /** First kernel version in which they do. */
  readonly hookSince: Version;
  /** tlb_end_vma() flushes at the end of each VMA: no MMU_GATHER_MERGE_VMAS. */
  readonly perVma: boolean;
  /** An exit's gather is flushed only if page tables were freed: address-space ids are not reused without a full flush. */
  readonly fullmmOnlyWithTables: boolean;
  /** arch_tlbbatch_should_defer(): reclaim collects flushes always, only if other CPUs use the mm, or never. */
  readonly batching: "always" | "other-cpus" | "never";
  /** First kernel version in which reclaim collects flushes. */
  readonly batchingSince: Version;
  /** flush_pmd_tlb_range() counts a huge entry as one flush, or as that many base pages. */
  readonly hugeStride: "entry" | "page";
}

/** A kernel version, major and minor. */
export type Version = readonly [major: number, minor: number];

/** When a line of a descriptor table holds. */
interface DescriptorCondition {
  /** Only for entries that have all these packed bits. */
  readonly with?: number;
  /** Only for entries that have none of these packed bits. */
  readonly without?: number;
  /** First kernel version that does so. */
  readonly since?: Version;
  /** First kernel version that does so no more. */
  readonly until?: Version;
}

/** Where a packed bit lies in the real 64-bit descriptor. */
export interface DescriptorBit extends DescriptorCondition {
  /** The packed PTE_ bit. */
  readonly flag: number;
  /** Bit number in the descriptor. */
  readonly bit: number;
  /** The manual's name, for instance `AP[2]`. */
  readonly name: string;
  /** True when the descriptor bit is set where the packed one is clear (riscv X against PTE_NX). */
  readonly inverted?: boolean;
}

/** Descriptor bits that no packed bit stands for: memory type, shareability, privilege. */
export interface DescriptorConstant extends DescriptorCondition {
  readonly bits: bigint;
  readonly name: string;
}

/** pte_needs_flush() of an architecture: which changes of an entry need no flush. */
export interface NeedsFlushRules {
  /** First kernel version that looks at all; before, every change is flushed. */
  readonly since: Version;
  /** A change of these bits needs a flush. */
  readonly onChange: number;
  /** Clearing one of these needs a flush. */
  readonly onClear: number;
  /** The same for leaves above the last level. */
  readonly onClearHuge: number;
}

/** An architecture, as data; the operations on entries follow from it. */
export interface Architecture {
  readonly name: string;
  /** One line for `mmun list`. */
  readonly summary: string;
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
  readonly flush: FlushRules;
  /** The fields of a kernel profile that begin with `arm64` apply: they change what `setAccessFlags` says. */
  readonly arm64: boolean;
  /** pmdp_invalidate_ad() flushes; not on x86, where hardware no longer changes an entry that is not present. */
  readonly invalidateAdFlushes: boolean;
  /** ptep_clear_flush_young(): no flush, a flush that is issued and not waited for, or a flush of the page. */
  readonly clearFlushYoung: "none" | "nosync" | "flush-page";
  /** A CPU that misses a right in its TLB walks again before it faults. */
  readonly cpuRewalksOnMissingRight: boolean;
  /** The CPU may keep invalid entries in its TLB until they are flushed (riscv64 without Svvptc). */
  readonly cachesInvalid: boolean;
  /** pte_needs_flush(); undefined where every change is flushed. */
  readonly needsFlush: NeedsFlushRules | undefined;
  /** Linux folds 16 contiguous entries of one folio (contpte). */
  readonly contpte: boolean;
  /** The entries have a soft-dirty bit of their own, which pte_mkdirty() sets as well. */
  readonly softDirty: boolean;
  /**
   * A level above the top one exists in the code and is folded at run time: freeing a whole top-level entry flushes even if nothing
   * hangs below.
   */
  readonly foldsP4d: boolean;
  /** Empty page tables of a range that was zapped whole are freed at once (CONFIG_PT_RECLAIM): here since v6.14, elsewhere since v7.0. */
  readonly reclaimsTables: boolean;
  /** User programs have only the lower half of the page-table tree. */
  readonly kernelSharesTree: boolean;
  readonly descriptor: readonly DescriptorBit[];
  readonly constants: readonly DescriptorConstant[];
  /** Bit number of the output address's page number in the descriptor. */
  readonly frameBit: number;
  /** Bits of the output address's page number. */
  readonly frameBits: number;
}
