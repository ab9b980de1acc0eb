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
    const { event, phase, step } = fault.details;
    // The subscriber is called by its driver and its device.
    const name = fault.subscriber.slice(fault.subscriber.lastIndexOf(" ") + 1);
    const callback = typeof phase === "string" ? phase.replaceAll("-", "_") : "a callback";
    this.add(
      this.#device(name),
      name,
      typeof event === "string" ? `${callback} ${event}` : callback,
      fault.cause,
      typeof step === "string" ? step : undefined,
    );
  }

  /** Code of a device threw somewhere else. */
  add(device: Device | undefined, name: string, during: string, cause: unknown, step?: string): MachineError {
    const driver = device?.definition.name ?? name;
    const origin = device?.origin ?? "unknown";
    const error = new MachineError(
      "DRIVER_THREW",
      `driver ${driver} (${origin}), device ${name}, threw during ${during}${step === undefined ? "" : `, in step "${step}"`}: ${messageOf(cause)}. The rest of the machine went on`,
      { package: origin, driver, device: name, during, step },
      { cause },
    );
    this.all.push(error);
    if (this.#timeline.observed) this.#timeline.emit({ source: "driver-error", error });
    return error;
  }
}
