import type { Kernel, Pages } from "@mmu-notifier/core";
import type { Scheduler, Task } from "@mmu-notifier/steps";
import type { Binding, HardwareTask } from "../binding.js";
import { checkBinding } from "../check-binding.js";
import { checkDeclarations, resolveOptions } from "../check-definition.js";
import type { BindingContext, DeviceContext } from "../context.js";
import { Costs } from "../costs.js";
import type { Declarations } from "../declarations.js";
import { declarationsOf, type SecondaryMmuDefinition, type UpgradeDecision, upgradeDecisionOf } from "../definition.js";
import { DeviceEvents } from "../device-event.js";
import { DeviceMemory } from "../device-memory.js";
import { SdkError } from "../errors.js";
import { type FailurePoint, FailurePoints } from "../failure-points.js";
import { Walker } from "../hardware/walker.js";
import { type AddressSpaceAllocator, cpuAsids, maxPinnedAsids } from "./asid-pool.js";
import { type CallbackBreach, CallbackWatch } from "./callback-watch.js";
import { dvmLink } from "./dvm-link.js";
import type { FaultServices } from "./fault-services.js";
import { intervalServices } from "./interval-services.js";
import { type HostFacts, hostFacts } from "./host-facts.js";
import { pageServices } from "./page-services.js";

/** What makes a device beside its definition. */
export interface DeviceOptions<O> {
  /** Name of the device in the machine, for instance `smmu0`. */
  readonly name: string;
  readonly options?: Partial<O>;
  /** What the operating system does for devices of `mm`. */
  readonly faults: (mm: number, device: BoundParts) => FaultServices;
  /** The CPUs' address-space ids, shared by all devices of a machine. Absent: a pool of 2^16 of its own. */
  readonly asids?: AddressSpaceAllocator;
  /** Hears of what the driver's callbacks do against what it declares. */
  readonly breach?: (breach: CallbackBreach) => void;
}

/** What fault services may count with. */
export interface BoundParts {
  readonly costs: Costs;
  readonly events: DeviceEvents;
}

/** Mms whose ids devices can pin. */
const PINNABLE_MMS = 64;
const ASID_BITS = 16;

/** The pool of CPU address-space ids of a machine, for {@link DeviceOptions.asids}. `asidBits` are the CPU's. */
export function machineAsids(k: Kernel, asidBits = ASID_BITS): AddressSpaceAllocator {
  const pins = new DeviceMemory(k.memory, "asid").words("pins", PINNABLE_MMS);
  return cpuAsids(k, pins, PINNABLE_MMS, maxPinnedAsids(asidBits, k.config.cpus));
}

/** A device bound to an address space: what accesses and checkers work with. */
export interface BoundDevice {
  readonly binding: Binding;
  readonly context: DeviceContext<unknown>;
  readonly mm: number;
  readonly walker: Walker;
  readonly pages: Pages;
  /** What this binding does with upgrades, and why. */
  readonly decision: UpgradeDecision;
  readonly declarations: Declarations;
  /** After `unbind` and the end of the connection: ends the subscriptions that are left, and says how many there were. */
  leftSubscribed(): number;
}

/**
 * One device of a machine: a definition with a name and options, in one kernel. Made at set-up; so are its bindings.
 *
 * @public
 */
export class Device<D, O extends object> {
  readonly name: string;
  readonly definition: SecondaryMmuDefinition<D, O>;
  readonly options: O;
  readonly host: HostFacts;
  readonly costs = new Costs();
  readonly events = new DeviceEvents();
  readonly #k: Kernel;
  readonly #context: DeviceContext<O>;
  readonly #shared: D;
  readonly #faults: DeviceOptions<O>["faults"];
  readonly #breach: (breach: CallbackBreach) => void;
  readonly #tasks: HardwareTask[] = [];
  readonly #failures = new FailurePoints();
  readonly #bound: BoundDevice[] = [];

  /** @throws SdkError SDK_OPTIONS_INVALID, and whatever the driver throws */
  constructor(
    k: Kernel,
    definition: SecondaryMmuDefinition<D, O>,
    { name, options, faults, asids = machineAsids(k), breach = () => undefined }: DeviceOptions<O>,
  ) {
    this.#k = k;
    this.name = name;
    this.definition = definition;
    this.options = resolveOptions(definition, options);
    this.host = hostFacts(k);
    this.#faults = faults;
    this.#breach = breach;
    this.#context = {
      name,
      driver: definition.name,
      options: this.options,
      host: this.host,
      memory: new DeviceMemory(k.memory, name),
      costs: this.costs,
      events: this.events,
      failures: this.#failures,
      geometry: k.tables.geometry,
      spans: k.tables.span,
      dvm: dvmLink(k.dvm),
      asids,
      hardware: (task) => {
        this.#tasks.push({ name: `${name} ${task.name}`, run: () => task.run() });
      },
    };
    // A driver without `device` has D = undefined.
    this.#shared = definition.device?.(this.#context) as D;
  }

  /** What the definition's `device` returned; undefined for a driver without one. */
  get shared(): D {
    return this.#shared;
  }

  /** Paths of the hardware's own, each to be run again whenever it ends. */
  get hardware(): readonly HardwareTask[] {
    return this.#tasks;
  }

  /** Ways in which the hardware may fail, those of its bindings included. */
  get failures(): readonly FailurePoint[] {
    return this.#failures.all;
  }

  /** Bindings in the order they were made. */
  get bound(): readonly BoundDevice[] {
    return this.#bound;
  }

  /**
   * Connects the device to an address space, at set-up.
   *
   * @throws SdkError SDK_BIND_FAILED, SDK_BINDING_INVALID, SDK_DEFINITION_INVALID, SDK_ASIDS_EXHAUSTED; BusError BUS_MIXED_OPS and others
   */
  bind(mm: number): BoundDevice {
    const declarations = declarationsOf(this.definition, this.host, this.options);
    checkDeclarations(declarations, this.definition.name);
    const agent = { HA: declarations.ha === true, HD: declarations.hd === true };
    const walker = new Walker(this.#k, mm, agent, this.costs, this.events);
    const watch = new CallbackWatch(this.costs, declarations, this.#breach);
    const context: BindingContext<D, O> = {
      ...this.#context,
      memory: this.#context.memory.named(`mm${mm}`),
      device: this.#shared,
      mm: { id: mm, asid: () => this.#k.mms.asid(mm) },
      notifications: this.#k.bus.notifications(mm).named(`${this.definition.name} ${this.name}`).counted(watch),
      intervals: intervalServices(this.#k.bus, mm),
      walker,
      faults: this.#faults(mm, this),
      pages: pageServices(this.#k, mm),
    };
    const binding = checkBinding(this.definition.create(context), this.definition.name);
    if (binding.declares !== undefined) checkDeclarations(binding.declares, this.definition.name);
    this.#attach(binding);
    const bound: BoundDevice = {
      binding,
      context,
      mm,
      walker,
      pages: this.#k.pages,
      decision: binding.decision ?? upgradeDecisionOf(this.definition, this.host, this.options),
      declarations: binding.declares ?? declarations,
      leftSubscribed: () => watch.leftSubscribed(),
    };
    this.#bound.push(bound);
    return bound;
  }

  #attach(binding: Binding): void {
    if (binding.attach === undefined) return;
    const error = this.#k.scheduler.run(binding.attach(), `${this.name} attach`);
    if (error >= 0) return;
    binding.connection?.unsubscribe();
    throw new SdkError(
      "SDK_BIND_FAILED",
      `attach of driver ${this.definition.name}, device ${this.name}, returned ${error}. Return 0 when the device may be used`,
      { driver: this.definition.name, device: this.name, error },
    );
  }

  /** Starts the hardware's paths in a straight runner; returns them for {@link Scheduler.kill}. */
  start(scheduler: Scheduler): readonly Task[] {
    return this.#tasks.map(({ name, run }) => scheduler.spawn(name, run, { again: true }));
  }
}

/**
 * Makes a device from a definition.
 *
 * @throws SdkError SDK_OPTIONS_INVALID
 */
export function createDevice<D, O extends object>(
  k: Kernel,
  definition: SecondaryMmuDefinition<D, O>,
  options: DeviceOptions<O>,
): Device<D, O> {
  return new Device(k, definition, options);
}
