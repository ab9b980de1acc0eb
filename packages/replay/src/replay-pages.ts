import { sourceName, type TraceSource } from "./read/chunks.js";
import { readPageTrace } from "./read/page-trace.js";
import type { ReplayOptions } from "./options.js";
import { ReplayDevices } from "./program/replay-devices.js";
import { recordStarts } from "./program/trace-recorder.js";
import type { PageReport } from "./program/report.js";
import { driversOf, profileOf, replayMachine } from "./replay-machine.js";
import { MachineMemory } from "./tlb/machine-memory.js";
import { RegionTable } from "./tlb/region-table.js";
import { createTlbReplay } from "./tlb/tlb-replay.js";

/**
 * Replays a page trace: every access goes through the TLBs; a miss walks the kernel's tables, and a fault runs the kernel's
 * path with the devices attached.
 *
 * @throws TraceError, MachineError for unknown names
 * @public
 */
export async function replayPages(source: TraceSource, options: ReplayOptions = {}): Promise<PageReport> {
  const machine = replayMachine(options, profileOf(options));
  const space = machine.createProcess({ name: "program" });
  const devices = new ReplayDevices(machine, driversOf(options), options.policy ?? "follow");
  devices.attach(space);
  const notifications: Record<string, number> = {};
  recordStarts(space, ({ event = "?" }) => (notifications[event] = (notifications[event] ?? 0) + 1));
  const regions = new RegionTable(sourceName(source));
  const memory = new MachineMemory(machine, space, regions, (vpn, write) => devices.follow(space, vpn, write));
  const tlb = createTlbReplay(memory);
  memory.connect(tlb);
  let bytesRead = 0;
  let accesses = 0;
  const parts = readPageTrace(source, {
    regions,
    instructions: options.instructions ?? false,
    onRead: (progress) => (bytesRead = progress.bytesRead),
  });
  for await (const { keys, counts, length, call } of parts) {
    tlb.runRuns(keys, counts, length);
    for (let i = 0; i < length; i++) accesses += counts[i]!;
    if (call !== undefined && call.result >= 0) memory.systemCall(call.name, call.args);
    options.onProgress?.({ bytesRead, replayed: accesses });
  }
  machine.settle();
  return {
    kind: "pages",
    trace: sourceName(source),
    kernel: machine.kernel.profile.name,
    arch: machine.kernel.arch.name,
    accesses,
    tlb: tlb.counters,
    notifications,
    devices: devices.report(notifications),
  };
}
