import type { Machine } from "@mmu-notifier/machine";
import type { ReplayOptions } from "./options.js";
import { ReplayDevices } from "./program/replay-devices.js";
import type { DeviceReport } from "./program/report.js";
import { recordStarts } from "./program/trace-recorder.js";
import { driversOf, profileOf, replayMachine } from "./replay-machine.js";
import { MachineMemory } from "./tlb/machine-memory.js";
import type { RegionTable } from "./tlb/region-table.js";
import type { TlbReplay } from "./tlb/tlb-replay.js";

/**
 * A machine with devices behind a TLB: one program whose pages appear as it touches them.
 *
 * @public
 */
export class PageReplay {
  readonly machine: Machine;
  readonly memory: MachineMemory;
  /** Starts of invalidations that the kernel sent so far, by event. */
  readonly notifications: Record<string, number> = {};
  readonly #devices: ReplayDevices;

  /** @throws MachineError for unknown names */
  constructor(regions: RegionTable, options: ReplayOptions = {}) {
    this.machine = replayMachine(options, profileOf(options));
    const space = this.machine.createProcess({ name: "program" });
    this.#devices = new ReplayDevices(this.machine, driversOf(options), options.policy ?? "follow");
    this.#devices.attach(space);
    recordStarts(space, ({ event = "?" }) => (this.notifications[event] = (this.notifications[event] ?? 0) + 1));
    this.memory = new MachineMemory(this.machine, space, regions, (vpn, write) =>
      this.#devices.follow(space, vpn, write),
    );
  }

  /** Lets the kernel's flushes empty a TLB. */
  connect(tlb: TlbReplay): void {
    this.memory.connect(tlb);
  }

  /** What each device was told and did so far. */
  devices(): readonly DeviceReport[] {
    return this.#devices.report(this.notifications);
  }
}
