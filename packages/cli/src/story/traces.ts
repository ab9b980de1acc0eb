import type { PluginRegistry } from "@mmu-notifier/machine";
import { replayFile, shippedTraces } from "@mmu-notifier/replay";

/** What one driver went through in one trace. */
export interface TraceDriver {
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

export async function traceSummaries(registry: PluginRegistry): Promise<readonly TraceSummary[]> {
  const summaries: TraceSummary[] = [];
  for (const { trace, title, file } of TRACES) {
    const recorded = await replayFile(file, { registry, drivers: [] });
    const report = await replayFile(file, { registry, kernel: "v6.4", arch: "arm64", drivers: DRIVERS });
    if (recorded.kind !== "program" || report.kind !== "program") continue;
    summaries.push({
      trace,
      title,
      notifications: sum(recorded.notifications),
      agree: recorded.agreement.matched,
      recorded: recorded.agreement.matched + recorded.agreement.missing,
      silentUpgrades: sum(report.upgrades),
      upgradeEvents: report.upgradeEvent?.events ?? 0,
      drivers: report.devices.map((device, index) => {
        const added = report.upgradeEvent?.devices[index];
        return {
          driver: DRIVERS[index]!.title,
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
    });
  }
  return summaries;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}
