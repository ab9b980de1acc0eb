import type { Declarations, HitPolicy, MmuNotifyEvent } from "@mmu-notifier/sdk";

/** What can be set about an SMMU. */
export interface ArmSmmuOptions {
  /** The masters have address translation caches (PCIe ATS). */
  readonly ats: boolean;
  /** Faulting transactions stall until software resumes them. Masters with ATS never stall. */
  readonly stall: boolean;
  /** Stream ids of one master; stalling needs exactly one. */
  readonly streams: number;
  /** IDR3.RIL: one TLBI for a range. */
  readonly ril: boolean;
  /** ARM_SMMU_OPT_CMDQ_FORCE_SYNC: a CMD_SYNC in every window of 64 commands. */
  readonly forceSync: boolean;
  /** Entries of the command queue; more than 64. */
  readonly queueDepth: number;
  /** Who executes commands; see the sdk's command queue. */
  readonly queueConsumer: "waiter" | "hardware";
  /** What a write does that hits a read-only entry. */
  readonly hitPolicy: HitPolicy;
  /** Sets and ways of the IOTLB. */
  readonly tlbSets: number;
  readonly tlbWays: number;
  /** Sets and ways of each ATC. */
  readonly atcSets: number;
  readonly atcWays: number;
  /** Entries of the walk cache; 0 is none. */
  readonly walkCacheEntries: number;
  /** IDR1.SSIDSIZE and the like: 2^asidBits - 1 private ASIDs. */
  readonly asidBits: number;
  /** IDR5.STALL_MAX. */
  readonly stallMax: number;
  /** Drops the page after a resolved fault, before the transaction is resumed: the answer to upgrades that nobody announces. */
  readonly invalidateOnSpurious: boolean;
  /** Experiment: subscribe to start and end instead of the hook, act in end, and ignore these events. Empty is off. */
  readonly experimentalFilter: readonly MmuNotifyEvent[];
  /** Experiment: with no event to ignore, subscribe to start and end all the same. */
  readonly experimentalStartEnd: boolean;
}

/** What ships: an SMMU that stalls, of a master without ATS. */
export const DEFAULT_OPTIONS: ArmSmmuOptions = {
  ats: false,
  stall: true,
  streams: 1,
  ril: false,
  forceSync: false,
  queueDepth: 128,
  queueConsumer: "waiter",
  hitPolicy: "nondeterministic",
  tlbSets: 1,
  tlbWays: 4,
  atcSets: 1,
  atcWays: 4,
  walkCacheEntries: 0,
  asidBits: 8,
  stallMax: 16,
  invalidateOnSpurious: false,
  experimentalFilter: [],
  experimentalStartEnd: false,
};

/** The driver rests on no broadcast: mainline always writes CR2.PTM = 1. */
export function declarations(options: ArmSmmuOptions): Declarations {
  return {
    pageTable: "shared-walk",
    onMissingRight: options.hitPolicy === "rewalk-on-permission-fault" ? "re-walk" : options.hitPolicy === "nondeterministic" ? "either" : "fault",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: options.experimentalFilter,
    ats: options.ats,
    ha: false,
    hd: false,
    granularity: options.ats ? "power-of-two" : "page",
    completes: "before-return",
    afterRelease: "aborts",
  };
}
