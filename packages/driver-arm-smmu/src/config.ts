import {
  type Declarations,
  type MmuNotifyEvent,
  onMissingRight,
  SMMU_V3_DEFAULTS,
  type SmmuV3Options,
} from "@mmu-notifier/sdk";

/** What can be set about an SMMU and its driver. */
export interface ArmSmmuOptions extends SmmuV3Options {
  /** Drops the page after a resolved fault, before the transaction is resumed: the answer to upgrades that nobody announces. */
  readonly invalidateOnSpurious: boolean;
  /** Experiment: subscribe to start and end instead of the hook, act in end, and ignore these events. Empty is off. */
  readonly experimentalFilter: readonly MmuNotifyEvent[];
  /** Experiment: with no event to ignore, subscribe to start and end all the same. */
  readonly experimentalStartEnd: boolean;
}

export const DEFAULT_OPTIONS: ArmSmmuOptions = {
  ...SMMU_V3_DEFAULTS,
  invalidateOnSpurious: false,
  experimentalFilter: [],
  experimentalStartEnd: false,
};

/** The driver rests on no broadcast: mainline always writes CR2.PTM = 1. */
export function declarations(options: ArmSmmuOptions): Declarations {
  const { ats, experimentalFilter, invalidateOnSpurious, streams } = options;
  return {
    pageTable: "shared-walk",
    onMissingRight: onMissingRight(options),
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: experimentalFilter,
    ats,
    dropsBeforeRetry: invalidateOnSpurious,
    ha: false,
    hd: false,
    granularity: ats ? "power-of-two" : "page",
    completes: "before-return",
    afterRelease: "aborts",
    // 511 TLBIs with a CMD_SYNC in every window, an ATC_INV to each stream, a CMD_SYNC.
    maxCommandsPerCall: 511 + 9 + streams + 1,
  };
}
