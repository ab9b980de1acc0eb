import type { CostReport, UpgradeDecision } from "@mmu-notifier/sdk";
import type { TlbCounters } from "../tlb/tlb-replay.js";
import type { LateRelease } from "./process-table.js";
import type { Agreement, NotifiedRange } from "./agreement.js";

/** Faults of a trace, by what the model did with them. */
export interface FaultCounts {
  /** Faults of the trace that were replayed. */
  readonly replayed: number;
  /** The page was there in the trace and not in the model; the model read it first. */
  readonly presumed: number;
  /** The model let the access through without a fault. */
  readonly notNeeded: number;
  /** The model has no mapping there, or refused the access. */
  readonly refused: number;
}

/** One process of a trace. */
export interface ProcessReport extends Agreement {
  readonly pid: number;
  readonly program: string;
  /** The trace has its notifications, so they could be compared. */
  readonly recorded: boolean;
  /** By what the program did: `write fault`, `munmap`, `fork`. */
  readonly byCause: Readonly<Record<string, Agreement>>;
  /** The first ranges that only one side has. */
  readonly firstMissing: readonly NotifiedRange[];
  readonly firstExtra: readonly NotifiedRange[];
}

/** One secondary MMU that was attached. */
export interface DeviceReport {
  readonly name: string;
  readonly driver: string;
  /** What it does with MMU_NOTIFY_PROTECTION_UPGRADE, and why. */
  readonly decision: UpgradeDecision;
  /** Calls of the bus that reached the driver: starts, ends or the hook, whatever it listens to. */
  readonly delivered: number;
  /** Starts of invalidations that its filter kept away, by event. */
  readonly filtered: Readonly<Record<string, number>>;
  /** Accesses that would never have ended: the device's entry stays wrong whatever the kernel answers. */
  readonly livelocks: number;
  /** Accesses that the kernel refused. */
  readonly aborts: number;
  readonly costs: CostReport;
}

/** What MMU_NOTIFY_PROTECTION_UPGRADE adds for one driver: a kernel with the event against the same kernel without. */
export interface UpgradeCost {
  readonly name: string;
  readonly driver: string;
  readonly decision: UpgradeDecision;
  /** Calls of the bus that reached it because of the event. */
  readonly delivered: number;
  /** Upgrades that its filter kept away. */
  readonly filtered: number;
  readonly commands: number;
  readonly syncs: number;
  /** Entries that were fetched again. */
  readonly refills: number;
  /** Accesses that would never have ended without the event, and with it. */
  readonly livelocksWithout: number;
  readonly livelocks: number;
}

/** What the event adds on the kernel it was written for. */
export interface UpgradeReport {
  readonly kernel: string;
  readonly withEvent: string;
  /** Times the event was sent. */
  readonly events: number;
  /** All other notifications. */
  readonly others: number;
  readonly devices: readonly UpgradeCost[];
}

/**
 * What a replay of a program trace found, as plain data.
 *
 * @public
 */
export interface ProgramReport {
  readonly kind: "program";
  readonly trace: string;
  readonly kernel: string;
  readonly arch: string;
  readonly records: number;
  readonly processes: readonly ProcessReport[];
  /** All recorded processes together. */
  readonly agreement: Agreement;
  readonly faults: FaultCounts;
  /** Exited children whose memory went later than their EXIT line. */
  readonly lateReleases: readonly LateRelease[];
  readonly systemCalls: Readonly<Record<string, number>>;
  /** System calls that the model does not replay. */
  readonly ignoredCalls: Readonly<Record<string, number>>;
  /** Notifications that the model sent, by event. */
  readonly notifications: Readonly<Record<string, number>>;
  /** Pages of recorded processes that became writable in place, by the place in the kernel that did it. */
  readonly upgrades: Readonly<Record<string, number>>;
  readonly devices: readonly DeviceReport[];
  /** What code of drivers threw; their figures say nothing then. */
  readonly driverErrors: readonly string[];
  /** Absent when not asked for. */
  readonly upgradeEvent?: UpgradeReport;
}

/**
 * What a replay of a page trace found, as plain data.
 *
 * @public
 */
export interface PageReport {
  readonly kind: "pages";
  readonly trace: string;
  readonly kernel: string;
  readonly arch: string;
  readonly accesses: number;
  readonly tlb: TlbCounters;
  /** Starts of invalidations that the kernel sent, by event. */
  readonly notifications: Readonly<Record<string, number>>;
  readonly devices: readonly DeviceReport[];
  readonly driverErrors: readonly string[];
}

/** What {@link replayFile} returns. */
export type ReplayReport = ProgramReport | PageReport;
