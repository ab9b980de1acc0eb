import type { BusWarning, SubscriberError } from "@mmu-notifier/bus";
import { ContextError, DeadlockError, LockOrderError } from "@mmu-notifier/steps";
import type { Device } from "./device.js";
import { MachineError, messageOf } from "./errors.js";
import type { Timeline } from "./timeline.js";

/** What code of drivers threw or did against its contract, attributed; nothing else is disturbed by it. */
export class DriverErrors {
  readonly all: MachineError[] = [];
  readonly breaches: MachineError[] = [];
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

  /** A driver did something else than it declares, or than the kernel allows. */
  breach(device: Device | undefined, name: string, during: string, message: string): void {
    const driver = device?.definition.name ?? name;
    const origin = device?.origin ?? "unknown";
    const error = new MachineError(
      "DRIVER_CONTRACT",
      `driver ${driver} (${origin}), device ${name}, in ${during}: ${message}`,
      { package: origin, driver, device: name, during },
    );
    this.breaches.push(error);
    if (this.#timeline.observed) this.#timeline.emit({ source: "driver-error", error });
  }

  /** The bus warns about a subscriber: when that is a device, its driver broke a rule of the kernel. */
  ofWarning({ code, details, message }: BusWarning): void {
    const { subscriber, event } = details;
    if (typeof subscriber !== "string") return;
    const name = subscriber.slice(subscriber.lastIndexOf(" ") + 1);
    const device = this.#device(name);
    if (device === undefined) return;
    const callback = code.startsWith("WARN_INTERVAL") ? "invalidate" : "invalidate_range_start";
    this.breach(device, name, typeof event === "string" ? `${callback} ${event}` : callback, message);
  }

  /** A finding of the locking checks that came up while code of a device ran: the same finding with the names of whose it is. */
  attributed(error: unknown, devices: Iterable<Device>): unknown {
    const kind = [ContextError, DeadlockError, LockOrderError].find((one) => error instanceof one);
    if (kind === undefined) return error;
    const { code, details, message } = error as ContextError;
    for (const device of devices) {
      const label = `${device.definition.name} ${device.name}.`;
      const at = message.indexOf(label);
      if (at < 0) continue;
      const [callback = "a callback"] = /^\w+/.exec(message.slice(at + label.length)) ?? [];
      const whose = { package: device.origin, driver: device.definition.name, device: device.name, during: callback };
      return new kind(
        code,
        `${message}. It is driver ${whose.driver} (${whose.package}), device ${whose.device}, in ${callback}`,
        { ...details, ...whose },
        { cause: error },
      );
    }
    return error;
  }
}
