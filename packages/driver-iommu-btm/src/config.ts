import {
  type Declarations,
  type HostFacts,
  onMissingRight,
  SMMU_V3_DEFAULTS,
  type SmmuV3Options,
  type UpgradeDecision,
} from "@mmu-notifier/sdk";

/** What can be set about an IOMMU with broadcast TLB maintenance and its driver. */
export interface IommuBtmOptions extends SmmuV3Options {
  /** When a broadcast takes effect: as it is issued, or some time before the DSB after it completes. */
  readonly dvm: "immediate" | "queued";
  /** Drops the page after a resolved fault, before the transaction is resumed: the answer to upgrades that hardware makes in silence. */
  readonly invalidateOnSpurious: boolean;
  /** With no CPU address-space id left to pin: bind under a private one, out of reach of broadcasts, or refuse to bind. */
  readonly fallbackToPrivateAsid: boolean;
  /**
   * What to do on upgrades: what {@link decideUpgrade} says, or always the one or the other. `filter` where the decision says
   * `deliver` is a bug to be shown.
   */
  readonly protectionUpgrade: "decide" | "filter" | "deliver";
}

export const DEFAULT_OPTIONS: IommuBtmOptions = {
  ...SMMU_V3_DEFAULTS,
  asidBits: 16,
  dvm: "immediate",
  invalidateOnSpurious: false,
  fallbackToPrivateAsid: true,
  protectionUpgrade: "decide",
};

/** Broadcasts of the host's flush of that kind reach the IOTLB of a binding with the CPU's ASID. */
export function reaches(host: HostFacts, kind: "upgrade" | "ordinary"): boolean {
  return host.broadcast(kind) === "inner-shareable";
}

/** The decision on MMU_NOTIFY_PROTECTION_UPGRADE for one binding. */
export function decideUpgrade(
  host: HostFacts,
  { ats, hitPolicy, protectionUpgrade }: IommuBtmOptions,
  sharedAsid = true,
): UpgradeDecision {
  if (protectionUpgrade !== "decide")
    return { protectionUpgrade, because: `the option protectionUpgrade is ${protectionUpgrade}` };
  if (ats)
    return {
      protectionUpgrade: "deliver",
      because: "the masters' own caches hold read-only translations, and no broadcast reaches them",
    };
  if (hitPolicy === "rewalk-on-permission-fault")
    return { protectionUpgrade: "filter", because: "the IOTLB walks again when a right is missing" };
  if (!sharedAsid)
    return {
      protectionUpgrade: "deliver",
      because: "no CPU address-space id could be pinned: broadcasts do not match the private one",
    };
  if (reaches(host, "upgrade"))
    return {
      protectionUpgrade: "filter",
      because: "the CPU's flush on upgrade is broadcast and empties the IOTLB before it completes",
    };
  return {
    protectionUpgrade: "deliver",
    because: `the CPU's flush on upgrade (${host.broadcast("upgrade")}) does not reach the IOTLB`,
  };
}

/** What the driver rests on: broadcasts to the inner-shareable domain. */
export function declarations(host: HostFacts, options: IommuBtmOptions): Declarations {
  const { ats, invalidateOnSpurious, streams } = options;
  return {
    pageTable: "shared-walk",
    onMissingRight: onMissingRight(options),
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: ["inner-shareable"],
    filters: decideUpgrade(host, options).protectionUpgrade === "filter" ? ["MMU_NOTIFY_PROTECTION_UPGRADE"] : [],
    ats,
    dropsBeforeRetry: invalidateOnSpurious,
    ha: false,
    hd: false,
    granularity: ats ? "power-of-two" : "page",
    completes: "before-return",
    afterRelease: "aborts",
    maxCommandsPerCall: 511 + 9 + streams + 1,
  };
}
