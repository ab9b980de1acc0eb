import type { Device } from "./device.js";
import { MachineError } from "./errors.js";
import type { Machine } from "./machine.js";

/**
 * Runs the same work twice from the same memory, with the machine's straight runner, and looks whether it comes out the same: a
 * driver that keeps state in a variable of its own, reads a clock or draws a number shows. The machine is left as after the work.
 *
 * @param device whose driver is under suspicion
 * @param during what the work is, for the message
 * @param work what it returns is compared as well, as JSON
 * @throws MachineError DRIVER_HIDDEN_STATE
 */
export function checkHiddenState(machine: Machine, device: Device, during: string, work: () => unknown): void {
  const before = machine.memory.save();
  const first = JSON.stringify(work()) ?? "";
  const after = machine.memory.save();
  machine.memory.restore(before);
  const second = JSON.stringify(work()) ?? "";
  if (first === second && machine.memory.equals(after)) return;
  const { definition, name, origin } = device;
  throw new MachineError(
    "DRIVER_HIDDEN_STATE",
    `driver ${definition.name} (${origin}), device ${name}: ${during}, run twice from the same memory, came out differently. Keep what lives between steps in context.memory, and read no clock and no random source`,
    { package: origin, driver: definition.name, device: name, during },
  );
}
