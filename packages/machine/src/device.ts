import {
  type AccessOutcome,
  accessUntilResolved,
  type AnySecondaryMmuDefinition,
  type BoundDevice,
  type CostReport,
  type Costs,
  createDevice,
  decodeAccess,
  type Device as SdkDevice,
  deviceAccess,
  deviceAccessOnce,
  type DeviceError,
  type DeviceEvent,
  type FailurePoint,
  type HardwareTask,
  type ResolvedAccess,
  type SecondaryEntry,
  type UpgradeDecision,
  type UseWatcher,
} from "@mmu-notifier/sdk";
import { type FaultBox, guardedWork } from "@mmu-notifier/bus";
import { ContextError, DeadlockError, LockOrderError, type Path } from "@mmu-notifier/steps";
import type { Observable } from "rxjs";
import type { AddressSpace } from "./address-space.js";
import type { DriverErrors } from "./driver-errors.js";
import { MachineError, messageOf } from "./errors.js";
import type { Machine } from "./machine.js";
import { ASIDS, FAULT_SERVICES } from "./tokens.js";

/** How a device is attached. */
export interface AttachOptions {
  readonly process: AddressSpace;
  /**
   * Name of the device.
   *
   * @defaultValue the driver's name and the lowest free number
   */
  readonly name?: string;
  /** Options of the driver. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** Options as somebody typed them: `a,b` is a list where the driver's default is one. */
function coerced(defaults: object, options: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => {
      const list = Array.isArray((defaults as Readonly<Record<string, unknown>>)[name]) && typeof value === "string";
      return [name, list ? value.split(",").filter((word) => word !== "") : value];
    }),
  );
}

type AnyDevice = SdkDevice<unknown, object>;

function cached({ binding }: BoundDevice): string {
  const entries = binding.entries();
  return entries.length === 1 ? `the translation of page ${entries[0]!.vpn} is` : `${entries.length} translations are`;
}

/**
 * A device of a machine, bound to one process or to several.
 *
 * @public
 */
export class Device {
  readonly name: string;
  readonly definition: AnySecondaryMmuDefinition;
  /** The package, file or call that the driver came from. */
  readonly origin: string;
  /** What the device reports; nothing is built while nobody watches. */
  readonly events: Observable<DeviceEvent>;
  readonly #machine: Machine;
  readonly #errors: DriverErrors;
  readonly #device: AnyDevice;
  readonly #bound = new Map<number, BoundDevice>();
  /** Mms whose end has been looked at. */
  readonly #released = new Set<number>();
  #stop: () => void = () => undefined;

  /** @internal Use {@link Machine.attach}. */
  constructor(
    machine: Machine,
    name: string,
    definition: AnySecondaryMmuDefinition,
    origin: string,
    errors: DriverErrors,
    options: Readonly<Record<string, unknown>>,
  ) {
    this.name = name;
    this.definition = definition;
    this.origin = origin;
    this.#machine = machine;
    this.#errors = errors;
    const { container, kernel } = machine;
    this.#device = this.#set("device", () =>
      createDevice(kernel, definition as AnyDevice["definition"], {
        name,
        options: coerced(definition.options ?? {}, options),
        asids: container.resolve(ASIDS),
        faults: container.resolve(FAULT_SERVICES),
        breach: ({ event, phase, message }) => errors.breach(this, name, `invalidate_range_${phase} ${event}`, message),
      }),
    );
    this.events = this.#device.events.stream;
  }

  /** Commands and counters so far. */
  get costs(): Costs {
    return this.#device.costs;
  }

  report(): CostReport {
    return this.costs.report();
  }

  /** The options in force: the driver's defaults with what was given over them. */
  get options(): object {
    return this.#device.options;
  }

  isBoundTo(process: AddressSpace): boolean {
    return this.#bound.has(process.mm);
  }

  /** Processes' mms in the order they were bound. */
  get mms(): readonly number[] {
    return [...this.#bound.keys()];
  }

  /** Its bindings in the order they were made. */
  get bindings(): readonly BoundDevice[] {
    return [...this.#bound.values()];
  }

  /** What the hardware or the driver's own checks complain about. */
  get errors(): Observable<DeviceError> {
    return this.#device.events.errors;
  }

  /** What the binding to a process does with MMU_NOTIFY_PROTECTION_UPGRADE, and why. */
  decision(process?: AddressSpace): UpgradeDecision {
    return this.binding(process).decision;
  }

  /** The binding to a process; without one, the only or first binding. */
  binding(process?: AddressSpace): BoundDevice {
    const bound = process === undefined ? this.#bound.values().next().value : this.#bound.get(process.mm);
    if (bound !== undefined) return bound;
    const to = process === undefined ? "any process" : process.name;
    throw new MachineError("DEVICE_BIND_FAILED", `device ${this.name} is not bound to ${to}. Attach it first`, {
      name: this.name,
    });
  }

  /** Connects to a process, at set-up. */
  bind(process: AddressSpace): void {
    this.#set("create", () => this.#bound.set(process.mm, this.#device.bind(process.mm)));
    if (this.#bound.size > 1) return;
    const { scheduler } = this.#machine;
    const tasks = this.#device.start(scheduler);
    this.#stop = () => {
      for (const task of tasks) scheduler.kill(task);
    };
  }

  /** A load of the device from page `vpn`; see {@link outcome} for the result. */
  read(vpn: number, process?: AddressSpace): Path<number> {
    return this.#access(vpn, "read", 0, process);
  }

  /** A store of the device to page `vpn`. */
  write(vpn: number, value = 0, process?: AddressSpace): Path<number> {
    return this.#access(vpn, "write", value, process);
  }

  /**
   * One attempt of an access, for whoever takes the loop into their own hands (a checker): {@link outcome} says what came of it.
   *
   * @param watch called in the step that uses the translation
   */
  attempt(
    vpn: number,
    access: "read" | "write",
    value: number,
    process?: AddressSpace,
    watch?: UseWatcher,
  ): Path<number> {
    const bound = this.binding(process);
    return this.#guarded(`${access} of page ${vpn}`, () => deviceAccessOnce(bound, vpn, access, value, watch));
  }

  /** Paths of the hardware's own, each to be run again whenever it ends. The straight runner has them as tasks already. */
  get hardware(): readonly HardwareTask[] {
    return this.#device.hardware;
  }

  /** Ways in which its hardware may be made to fail. */
  get failures(): readonly FailurePoint[] {
    return this.#device.failures;
  }

  /** What the number that {@link read} and {@link write} return means. */
  outcome(result: number): AccessOutcome {
    return decodeAccess(result);
  }

  /**
   * An access on the straight runner that ends even if the device would retry for ever: when the whole machine comes back to
   * a state it was in, that is a proof of livelock.
   */
  access(vpn: number, access: "read" | "write", value = 0, process?: AddressSpace): ResolvedAccess {
    const bound = this.binding(process);
    try {
      return accessUntilResolved(this.#machine, bound, vpn, access, value);
    } catch (cause) {
      throw this.#attributed(`${access} of page ${vpn}`, cause);
    }
  }

  /** Every translation that the device could use now without asking anybody. */
  entries(process?: AddressSpace): readonly SecondaryEntry[] {
    return this.binding(process).binding.entries();
  }

  /** Takes the device off a process. */
  *unbind(process: AddressSpace): Path {
    const bound = this.binding(process);
    const box: FaultBox = { fault: undefined };
    yield* guardedWork(() => bound.binding.unbind(), box);
    if (box.fault !== undefined) this.#errors.add(this, this.name, "unbind", box.fault.cause, box.fault.step);
    bound.binding.connection?.unsubscribe();
    this.#bound.delete(process.mm);
    const left = bound.leftSubscribed();
    if (left > 0)
      this.#breach(
        "unbind",
        `${left} of its subscriptions outlived the binding and were ended. Subscribe once, and return that as connection`,
      );
    if (bound.binding.entries().length > 0)
      this.#breach(
        "unbind",
        `${cached(bound)} left after unbind. Make every cached translation unusable there: the next owner of the frames would be written to`,
      );
  }

  /** A process that has exited leaves nothing that the device could still use; what is left is reported once. */
  checkRelease(): void {
    const { mms } = this.#machine.kernel;
    for (const [mm, bound] of this.#bound) {
      if ((mms.isLive(mm) && mms.users(mm) > 0) || this.#released.has(mm)) continue;
      this.#released.add(mm);
      if (bound.binding.entries().length > 0)
        this.#breach(
          "release",
          `${cached(bound)} left after the process exited. Subscribe to release as well, and drop everything there`,
        );
    }
  }

  #breach(during: string, message: string): void {
    this.#errors.breach(this, this.name, during, message);
  }

  /**
   * Takes the device off a process as {@link unbind} does, and leaves it known to the machine: for whoever goes back in time and needs
   * the binding again. What the driver throws is thrown here.
   */
  *unbindLater(process: AddressSpace): Path<number> {
    const bound = this.binding(process);
    return yield* this.#guarded("unbind", function* () {
      yield* bound.binding.unbind();
      return 0;
    });
  }

  /** Takes the device out of the machine, at tear-down. */
  close(): void {
    this.#stop();
    for (const { binding } of this.#bound.values()) binding.connection?.unsubscribe();
    this.#bound.clear();
  }

  #access(vpn: number, access: "read" | "write", value: number, process?: AddressSpace): Path<number> {
    const bound = this.binding(process);
    return this.#guarded(`${access} of page ${vpn}`, () => deviceAccess(bound, vpn, access, value));
  }

  /** Runs code of the driver; what it throws says whose it is. */
  *#guarded(during: string, start: () => Path<number>): Path<number> {
    const box: FaultBox = { fault: undefined };
    const result = yield* guardedWork(start, box);
    if (result === undefined) throw this.#attributed(during, box.fault?.cause, box.fault?.step);
    return result;
  }

  /** What to throw for something that came out of an access: findings of the locking checks say themselves whose they are. */
  #attributed(during: string, cause: unknown, step?: string): unknown {
    if (cause instanceof ContextError || cause instanceof LockOrderError || cause instanceof DeadlockError)
      return cause;
    return this.#errors.add(this, this.name, during, cause, step);
  }

  /** Runs set-up code of the driver; what it throws says whose it is. */
  #set<T>(during: string, run: () => T): T {
    try {
      return run();
    } catch (cause) {
      throw new MachineError(
        "DEVICE_BIND_FAILED",
        `device ${this.name} cannot be attached: driver ${this.definition.name} (${this.origin}): ${messageOf(cause)}`,
        { name: this.name, driver: this.definition.name, package: this.origin, during },
        { cause },
      );
    }
  }
}
