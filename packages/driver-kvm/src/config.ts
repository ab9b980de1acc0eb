import type { Declarations, Memslot } from "@mmu-notifier/sdk";

/** What can be set about a virtual machine. */
export interface KvmOptions {
  /** Ignore MMU_NOTIFY_PROTECTION_UPGRADE. Right because a missing write right is resolved in software. */
  readonly filter: boolean;
  /** In which callbacks the filter works. Anything but `both` drives the counters out of their range: a bug to be shown. */
  readonly filterPhases: "both" | "start" | "end";
  /**
   * Check before an entry is installed whether an invalidation came since the lookup. Without it freed pages get mapped: a bug to
   * be shown.
   */
  readonly retryCheck: boolean;
  /** Guest memory; empty is one slot that maps the whole address space one to one. */
  readonly memslots: readonly Memslot[];
  /** Running vCPUs: interrupts of one remote flush. */
  readonly vcpus: number;
  /** Entries of the vCPUs' TLB. */
  readonly tlbWays: number;
  /** KVM_ELIDE_TLB_FLUSH_IF_YOUNG: clear_flush_young does not flush (x86). */
  readonly elideFlushIfYoung: boolean;
  /** Bits of mmu_invalidate_seq; a checker takes few. */
  readonly seqBits: number;
}

export const DEFAULT_OPTIONS: KvmOptions = {
  filter: true,
  filterPhases: "both",
  retryCheck: true,
  memslots: [],
  vcpus: 2,
  tlbWays: 4,
  elideFlushIfYoung: false,
  seqBits: 30,
};

/** A mirror whose permission faults software resolves against the host's entry. */
export function declarations({ filter }: KvmOptions): Declarations {
  return {
    pageTable: "mirror",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: true,
    reachedByBroadcast: [],
    filters: filter ? ["MMU_NOTIFY_PROTECTION_UPGRADE"] : [],
    ats: false,
    pri: false,
    ha: true,
    hd: true,
    agesPages: true,
    maySleep: false,
    nonBlockable: "proceeds",
    granularity: "page",
    completes: "before-return",
    afterRelease: "faults",
    maxCommandsPerCall: 0,
  };
}
