import type { KernelProfile } from "@mmu-notifier/core";
import { sourceName, type TraceSource } from "./read/chunks.js";
import { readProgramTrace } from "./read/program-trace.js";
import type { ReplayOptions } from "./options.js";
import type { Agreement } from "./program/agreement.js";
import { FolioProbe } from "./program/folio-probe.js";
import { ProgramReplay } from "./program/program-replay.js";
import { ReplayDevices } from "./program/replay-devices.js";
import { sum } from "./program/replayed-process.js";
import type { DeviceReport, ProgramReport, UpgradeCost, UpgradeReport } from "./program/report.js";
import { driversOf, profileOf, replayMachine, upgradeKernels } from "./replay-machine.js";

const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";
const NONE: Agreement = { matched: 0, missing: 0, extra: 0 };

/**
 * Replays a program trace: its system calls and faults drive the mm, the mm notifies the devices, and what it notifies is
 * compared with what the trace's kernel did.
 *
 * @throws TraceError, MachineError for unknown names
 * @public
 */
export async function replayProgram(source: TraceSource, given: ReplayOptions = {}): Promise<ProgramReport> {
  const options = { ...given, config: { diskFolioOrder: await folioOrder(source), ...given.config } };
  const report = await replayOn(profileOf(options), source, options);
  if (options.upgradeEvent === false || report.devices.length === 0) return report;
  return { ...report, upgradeEvent: await compareUpgrades(report, source, options) };
}

async function folioOrder(source: TraceSource): Promise<number> {
  const probe = new FolioProbe();
  for await (const batch of readProgramTrace(source)) for (const record of batch) probe.next(record);
  return probe.order;
}

async function compareUpgrades(
  report: ProgramReport,
  source: TraceSource,
  options: ReplayOptions,
): Promise<UpgradeReport> {
  const { without, withEvent } = upgradeKernels();
  const before = report.kernel === without.name ? report : await replayOn(without, source, options);
  const after = await replayOn(withEvent, source, options);
  const { [UPGRADE]: events = 0, ...others } = after.notifications;
  return {
    kernel: without.name,
    withEvent: withEvent.name,
    events,
    others: Object.values(others).reduce((all, count) => all + count, 0),
    devices: before.devices.map((device, i) => upgradeCost(device, after.devices[i]!)),
  };
}

async function replayOn(profile: KernelProfile, source: TraceSource, options: ReplayOptions): Promise<ProgramReport> {
  const machine = replayMachine(options, profile);
  const devices = new ReplayDevices(machine, driversOf(options), options.policy ?? "follow");
  const replay = new ProgramReplay(machine, devices);
  let records = 0;
  let bytesRead = 0;
  for await (const batch of readProgramTrace(source, (progress) => (bytesRead = progress.bytesRead))) {
    for (const record of batch) replay.next(record);
    records += batch.length;
    options.onProgress?.({ bytesRead, replayed: records });
  }
  replay.end();
  const processes = replay.processes.all.map((process) => process.report());
  const { replayed, presumed, notNeeded, refused } = replay.faults;
  return {
    kind: "program",
    trace: sourceName(source),
    kernel: machine.kernel.profile.name,
    arch: machine.kernel.arch.name,
    records,
    processes,
    agreement: processes.reduce(sum, NONE),
    faults: { replayed, presumed, notNeeded, refused },
    systemCalls: replay.systemCalls,
    ignoredCalls: replay.ignoredCalls,
    notifications: replay.notifications,
    upgrades: replay.upgrades,
    lateReleases: replay.processes.released,
    devices: devices.report(replay.notifications),
    driverErrors: machine.driverErrors.map(({ message }) => message),
  };
}

function upgradeCost(before: DeviceReport, after: DeviceReport): UpgradeCost {
  const commands = (report: DeviceReport): number =>
    Object.values(report.costs.commands).reduce((all, count) => all + count, 0);
  return {
    name: after.name,
    driver: after.driver,
    decision: after.decision,
    delivered: after.delivered - before.delivered,
    filtered: after.filtered[UPGRADE] ?? 0,
    commands: commands(after) - commands(before),
    syncs: after.costs.syncs - before.costs.syncs,
    refills: after.costs.refills - before.costs.refills,
    livelocksWithout: before.livelocks,
    livelocks: after.livelocks,
  };
}
