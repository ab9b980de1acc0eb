import { archFlushNotifies, type FlushScope, type Kernel } from "@mmu-notifier/core";

/** The two kinds of TLB flush that a driver may rest on: after an upgrade in place, and all others. */
export type FlushKind = "upgrade" | "ordinary";

/**
 * What a driver may know about the kernel and the architecture that it runs on. Fixed while the machine runs.
 *
 * @public
 */
export interface HostFacts {
  /** Name of the kernel profile, for instance `v6.4+upgrade-event`. */
  readonly kernel: string;
  readonly version: readonly [number, number];
  /** Name of the architecture, for instance `arm64`. */
  readonly arch: string;
  /** Name of the hook that has no event. */
  readonly hook: "invalidate_range" | "arch_invalidate_secondary_tlbs";
  /** range_end calls that hook. */
  readonly hookFromRangeEnd: boolean;
  /** The flush of an upgrade in place calls that hook. */
  readonly hookOnUpgrade: boolean;
  /** Range flushes call the hook after the invalidation was issued and before its completion is waited for (arm64 since v6.6). */
  readonly hookBeforeCompletion: boolean;
  /** MMU_NOTIFY_PROTECTION_UPGRADE exists. */
  readonly upgradeEvent: boolean;
  /** A subscription with both the hook and start or end is refused. */
  readonly rejectsMixedOps: boolean;
  /** CPUs set the dirty state without a fault, so without any notifier. */
  readonly silentHardwareUpgrade: boolean;
  readonly cpus: number;
  /** log2 of the bytes of a base page. */
  readonly pageShift: number;
  /** Base pages of a huge page. */
  readonly hugePages: number;
  /** How far the host's flush of that kind reaches. */
  broadcast(kind: FlushKind): FlushScope;
}

/** The facts of one kernel. */
export function hostFacts(k: Kernel): HostFacts {
  const { arch, profile } = k;
  const upgradeScope = upgradeFlushScope(k);
  const hookFromFlush = archFlushNotifies(k);
  return {
    kernel: profile.name,
    version: profile.version,
    arch: arch.name,
    hook: profile.hook,
    hookFromRangeEnd: profile.hookFromRangeEnd,
    hookOnUpgrade: hookFromFlush && upgradeScope !== "none",
    hookBeforeCompletion: hookFromFlush && arch.flush.hook === "before-completion",
    upgradeEvent: profile.upgradeEvent !== undefined,
    rejectsMixedOps: profile.rejectsMixedOps,
    silentHardwareUpgrade: arch.cpu.HD,
    cpus: k.config.cpus,
    pageShift: 12,
    hugePages: k.tables.hugePages,
    broadcast: (kind) => (kind === "upgrade" ? upgradeScope : arch.flush.scope),
  };
}

function upgradeFlushScope({ arch, profile }: Kernel): FlushScope {
  if (arch.setAccessFlags.flush === "none") return "none";
  if (arch.arm64 && profile.arm64UpgradeFlush === "local") return "local";
  return arch.flush.scope;
}
