import type { ReplayOptions } from "./options.js";
import { PageReplay } from "./page-replay.js";
import type { PageReport } from "./program/report.js";
import { sourceName, type TraceSource } from "./read/chunks.js";
import { readPageTrace } from "./read/page-trace.js";
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
  const regions = new RegionTable(sourceName(source));
  const replay = new PageReplay(regions, options);
  const { machine, memory, notifications } = replay;
  const tlb = createTlbReplay(memory);
  replay.connect(tlb);
  let bytesRead = 0;
  let accesses = 0;
  const onRead = (progress: { readonly bytesRead: number }): number => (bytesRead = progress.bytesRead);
  for await (const part of readPageTrace(source, { regions, instructions: options.instructions ?? false, onRead })) {
    const { keys, counts, length, call } = part;
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
    devices: replay.devices(),
    driverErrors: machine.driverErrors.map(({ message }) => message),
  };
}
