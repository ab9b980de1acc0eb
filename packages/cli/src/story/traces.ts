import { Worker } from "node:worker_threads";
import type { PluginRegistry } from "@mmu-notifier/machine";
import { replayFile, shippedTraces } from "@mmu-notifier/replay";

/** What one driver went through in one trace. */
interface TraceDriver {
  readonly driver: string;
  /** Calls of the bus that reached it on v6.4, where the patch begins. */
  readonly delivered: number;
  readonly commands: number;
  readonly refills: number;
  /** What MMU_NOTIFY_PROTECTION_UPGRADE adds: calls that reach it, calls that its filter keeps away, commands, entries fetched again. */
  readonly upgrade: {
    readonly delivered: number;
    readonly filtered: number;
    readonly commands: number;
    readonly refills: number;
  };
}

/** One recorded program. */
export interface TraceSummary {
  readonly trace: string;
  readonly title: string;
  /** Notifier calls that the model of the recorded kernel sent, and how many the recording agrees with. */
  readonly notifications: number;
  readonly agree: number;
  readonly recorded: number;
  /** Pages that became writable in place with nobody told. */
  readonly silentUpgrades: number;
  /** Times that the patch's event would have been sent. */
  readonly upgradeEvents: number;
  readonly drivers: readonly TraceDriver[];
}

/** The traces of the story. */
const TRACES = [
  { trace: "snapshot", title: "a heap, forked for snapshots while it is written", file: shippedTraces.snapshot },
  { trace: "mmapdb4k", title: "a database in a shared file mapping", file: shippedTraces.mmapdb4k },
  { trace: "git", title: "an ordinary program: git log -p", file: shippedTraces.git },
] as const;

/** The shipped drivers as they decide for themselves, and one that could filter the event but does not. */
const DRIVERS = [
  { title: "ARM SMMU without BTM", driver: "arm-smmu" },
  { title: "IOMMU with BTM", driver: "iommu-btm" },
  { title: "KVM-style shadow, filters", driver: "kvm" },
  { title: "KVM-style shadow, does not", driver: "kvm", name: "kvm-unfiltered", options: { filter: false } },
] as const;

/** Replays one trace: on the kernel it was recorded on, for the agreement, and on the patch's kernel with devices, for the cost. */
export async function summarizeTrace(index: number, registry: PluginRegistry): Promise<TraceSummary> {
  const { trace, title, file } = TRACES[index]!;
  const recorded = await replayFile(file, { registry, drivers: [] });
  const report = await replayFile(file, { registry, kernel: "v6.4", arch: "arm64", drivers: DRIVERS });
  if (recorded.kind !== "program" || report.kind !== "program") throw new TypeError(`${file} is no program trace`);
  return {
    trace,
    title,
    notifications: sum(recorded.notifications),
    agree: recorded.agreement.matched,
    recorded: recorded.agreement.matched + recorded.agreement.missing,
    silentUpgrades: sum(report.upgrades),
    upgradeEvents: report.upgradeEvent?.events ?? 0,
    drivers: report.devices.map((device, at) => {
      const added = report.upgradeEvent?.devices[at];
      return {
        driver: DRIVERS[at]!.title,
        delivered: device.delivered,
        commands: sum(device.costs.commands),
        refills: device.costs.refills,
        upgrade: {
          delivered: added?.delivered ?? 0,
          filtered: added?.filtered ?? 0,
          commands: added?.commands ?? 0,
          refills: added?.refills ?? 0,
        },
      };
    }),
  };
}

/** All traces, each in a thread of its own: they share nothing. */
export async function traceSummaries(): Promise<readonly TraceSummary[]> {
  return Promise.all(TRACES.map((_, index) => inThread(index)));
}

function inThread(index: number): Promise<TraceSummary> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./trace-worker.js", import.meta.url), { workerData: index });
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}
