import type { BusCall, BusWarning } from "@mmu-notifier/bus";
import type { Kernel, KernelEvent } from "@mmu-notifier/core";
import type { DeviceEvent } from "@mmu-notifier/sdk";
import { Observable, type Subscriber, type Unsubscribable } from "rxjs";
import type { MachineError } from "./errors.js";

/** One thing that happened in a machine; what order they come in is the order in which they happened. */
export type TimelineEvent =
  | { readonly source: "bus"; readonly call: BusCall }
  | { readonly source: "warning"; readonly warning: BusWarning }
  | { readonly source: "kernel"; readonly event: KernelEvent }
  | { readonly source: "device"; readonly device: string; readonly event: DeviceEvent }
  /** Code of a driver threw; the machine went on. */
  | { readonly source: "driver-error"; readonly error: MachineError };

/**
 * Merges the streams of a machine. It subscribes to them while somebody is subscribed to it, so an unobserved machine builds no
 * event.
 */
export class Timeline {
  readonly events: Observable<TimelineEvent>;
  readonly #kernel: Kernel;
  readonly #devices = new Map<string, Observable<DeviceEvent>>();
  readonly #subscribers = new Set<Subscriber<TimelineEvent>>();
  readonly #deviceSubscriptions = new Map<string, Unsubscribable>();
  #kernelSubscriptions: readonly Unsubscribable[] = [];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.events = new Observable((subscriber) => {
      if (this.#subscribers.size === 0) this.#connect();
      this.#subscribers.add(subscriber);
      return () => {
        this.#subscribers.delete(subscriber);
        if (this.#subscribers.size === 0) this.#disconnect();
      };
    });
  }

  get observed(): boolean {
    return this.#subscribers.size > 0;
  }

  /** Adds the events of a device; the function returned takes them out. */
  addDevice(name: string, events: Observable<DeviceEvent>): () => void {
    this.#devices.set(name, events);
    if (this.observed) this.#connectDevice(name, events);
    return () => {
      this.#devices.delete(name);
      this.#deviceSubscriptions.get(name)?.unsubscribe();
      this.#deviceSubscriptions.delete(name);
    };
  }

  emit(event: TimelineEvent): void {
    for (const subscriber of this.#subscribers) subscriber.next(event);
  }

  #connect(): void {
    const { bus, events } = this.#kernel;
    this.#kernelSubscriptions = [
      bus.calls.subscribe((call) => this.emit({ source: "bus", call })),
      bus.warnings.subscribe((warning) => this.emit({ source: "warning", warning })),
      events.subscribe((event) => this.emit({ source: "kernel", event })),
    ];
    for (const [name, stream] of this.#devices) this.#connectDevice(name, stream);
  }

  #connectDevice(device: string, events: Observable<DeviceEvent>): void {
    this.#deviceSubscriptions.set(
      device,
      events.subscribe((event) => this.emit({ source: "device", device, event })),
    );
  }

  #disconnect(): void {
    for (const subscription of this.#kernelSubscriptions) subscription.unsubscribe();
    for (const subscription of this.#deviceSubscriptions.values()) subscription.unsubscribe();
    this.#kernelSubscriptions = [];
    this.#deviceSubscriptions.clear();
  }
}
