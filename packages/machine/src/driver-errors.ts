import type { SubscriberError } from "@mmu-notifier/bus";
import type { Device } from "./device.js";
import { MachineError, messageOf } from "./errors.js";
import type { Timeline } from "./timeline.js";

/** What code of drivers threw, attributed; nothing else is disturbed by it. */
export class DriverErrors {
  readonly all: MachineError[] = [];
  readonly #timeline: Timeline;
  readonly #device: (name: string) => Device | undefined;

  constructor(timeline: Timeline, device: (name: string) => Device | undefined) {
    this.#timeline = timeline;
    this.#device = device;
  }

  /** A callback of a device threw: the bus has served the others. */
  ofSubscriber(fault: SubscriberError): void {
    const { event, phase } = fault.details;
    const what = [fault.details["callback"] ?? phase, event].filter((part) => part !== undefined).join(" ");
    this.add(this.#device(fault.subscriber), fault.subscriber, what === "" ? fault.message : what, fault.cause);
  }

  /** Code of a device threw somewhere else. */
  add(device: Device | undefined, name: string, during: string, cause: unknown): MachineError {
    const driver = device?.definition.name ?? name;
    const origin = device?.origin ?? "unknown";
    const step = typeof cause === "object" && cause !== null && "step" in cause ? String(cause.step) : undefined;
    const error = new MachineError(
      "DRIVER_THREW",
      `driver ${driver} (${origin}), device ${name}, threw during ${during}: ${messageOf(cause)}. The rest of the machine went on`,
      { package: origin, driver, device: name, during, step },
      { cause },
    );
    this.all.push(error);
    if (this.#timeline.observed) this.#timeline.emit({ source: "driver-error", error });
    return error;
  }
}
