import {
  type Architecture,
  createMm,
  type Geometry,
  type Kernel,
  type KernelConfig,
  type KernelProfile,
} from "@mmu-notifier/core";
import type { AnySecondaryMmuDefinition } from "@mmu-notifier/sdk";
import type { Memory, Path, Scheduler } from "@mmu-notifier/steps";
import type { Observable } from "rxjs";
import { AddressSpace } from "./address-space.js";
import { composeMachine } from "./composition.js";
import { describeMachine } from "./describe.js";
import { type AttachOptions, Device } from "./device.js";
import type { DependencyContainer } from "./di.js";
import { DriverErrors } from "./driver-errors.js";
import { MachineError } from "./errors.js";
import { PluginRegistry } from "./plugin-registry.js";
import type { Teardown } from "./teardown.js";
import type { Timeline, TimelineEvent } from "./timeline.js";
import { KERNEL, MEMORY, PLUGINS, SCHEDULER, TEARDOWN, TIMELINE } from "./tokens.js";

/** What a machine is made of. */
export interface MachineOptions {
  /**
   * A kernel by name, or a profile.
   *
   * @defaultValue `v6.12`
   */
  readonly kernel?: string | KernelProfile;
  /**
   * An architecture by name, or one.
   *
   * @defaultValue `arm64`
   */
  readonly arch?: string | Architecture;
  /** What differs from a small default machine. */
  readonly config?: Partial<KernelConfig>;
  /**
   * Shape of the page tables.
   *
   * @defaultValue four levels of 512 entries
   */
  readonly geometry?: Geometry;
  /** Plugins of this machine only: what packages export by default. */
  readonly plugins?: readonly unknown[];
  /**
   * Where names are looked up.
   *
   * @defaultValue the kernels and architectures of `@mmu-notifier/core`
   */
  readonly registry?: PluginRegistry;
  /** Registers something else for a token before anything is built. */
  readonly compose?: (container: DependencyContainer) => void;
}

/** Kernel and architecture of a machine that names none. */
export const DEFAULT_KERNEL = "v6.12";
export const DEFAULT_ARCH = "arm64";

/**
 * One booted machine with its address spaces and devices. Two machines share nothing.
 *
 * @public
 */
export class Machine {
  /** The machine's own container; see the tokens. */
  readonly container: DependencyContainer;
  readonly registry: PluginRegistry;
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly scheduler: Scheduler;
  /** Calls on the bus, events of the kernel, events of the devices and errors of drivers, in the order they happen. */
  readonly timeline: Observable<TimelineEvent>;
  readonly #timeline: Timeline;
  readonly #teardown: Teardown;
  readonly #errors: DriverErrors;
  readonly #processes: AddressSpace[] = [];
  readonly #devices = new Map<string, Device>();

  /** @internal Use {@link createMachine}. */
  constructor(container: DependencyContainer) {
    this.container = container;
    this.registry = container.resolve(PLUGINS);
    this.kernel = container.resolve(KERNEL);
    this.memory = container.resolve(MEMORY);
    this.scheduler = container.resolve(SCHEDULER);
    this.#timeline = container.resolve(TIMELINE);
    this.#teardown = container.resolve(TEARDOWN);
    this.timeline = this.#timeline.events;
    this.#errors = new DriverErrors(this.#timeline, (subscriber) => this.#devices.get(subscriber));
    const faults = this.kernel.bus.faults.subscribe((fault) => this.#errors.ofSubscriber(fault));
    this.#teardown.add("bus faults", () => faults.unsubscribe());
    const warnings = this.kernel.bus.warnings.subscribe((warning) => this.#errors.ofWarning(warning));
    this.#teardown.add("bus warnings", () => warnings.unsubscribe());
  }

  get processes(): readonly AddressSpace[] {
    return this.#processes;
  }

  get devices(): readonly Device[] {
    return [...this.#devices.values()];
  }

  /** What code of drivers has thrown so far. */
  get driverErrors(): readonly MachineError[] {
    return this.#errors.all;
  }

  /** What drivers have done so far against what they declare or the kernel allows. */
  get driverBreaches(): readonly MachineError[] {
    return this.#errors.breaches;
  }

  /** A new process with an empty address space. */
  createProcess(options: { readonly name?: string; readonly cpu?: number } = {}): AddressSpace {
    this.#teardown.check();
    const { cpu = 0 } = options;
    return this.adopt(createMm(this.kernel), { cpu, name: options.name ?? `process${this.#processes.length}` });
  }

  /** A process whose mm a path made: the child of a fork. */
  adopt(mm: number, options: { readonly name: string; readonly cpu?: number }): AddressSpace {
    this.#teardown.check();
    const thread = { cpu: options.cpu ?? 0, mm };
    const process = new AddressSpace(options.name, thread, this.container, () => this.kernel.bus.notifications(mm));
    this.#processes.push(process);
    return process;
  }

  /**
   * Connects a device to a process. A device of the same name and driver that is attached already gets one more binding.
   *
   * @param driver the name of a registered driver, or a definition
   * @throws MachineError PLUGIN_UNKNOWN, DEVICE_DUPLICATE, DEVICE_BIND_FAILED
   */
  attach(driver: string | AnySecondaryMmuDefinition, options: AttachOptions): Device {
    this.#teardown.check();
    const { definition, origin } = this.#driver(driver);
    const name = options.name ?? this.#freeName(definition.name);
    const known = this.#devices.get(name);
    if (known !== undefined && (known.definition !== definition || known.isBoundTo(options.process))) {
      throw new MachineError(
        "DEVICE_DUPLICATE",
        `there is a device ${JSON.stringify(name)} already (driver ${known.definition.name}). Give this one another name`,
        {
          name,
          driver: definition.name,
        },
      );
    }
    const device = known ?? new Device(this, name, definition, origin, this.#errors, options.options ?? {});
    device.bind(options.process);
    if (known === undefined) {
      this.#devices.set(name, device);
      const remove = this.#timeline.addDevice(name, device.events);
      this.#teardown.add(`device ${name}`, () => {
        remove();
        device.close();
      });
    }
    return device;
  }

  /** The device of a name. */
  device(name: string): Device | undefined {
    return this.#devices.get(name);
  }

  /**
   * Runs a path to its end on the straight runner. What it asked a disk for and did not wait for is there afterwards.
   *
   * @throws DeadlockError, ContextError, LockOrderError as the path's steps demand; what a driver throws is in {@link driverErrors}
   */
  run<R>(path: Path<R>, name = "task"): R {
    this.#teardown.check();
    try {
      const result = this.scheduler.run(path, name);
      if (this.kernel.diskReads.pending) this.kernel.diskReads.complete(this.kernel.pages);
      for (const device of this.#devices.values()) device.checkRelease();
      return result;
    } catch (error) {
      throw this.#errors.attributed(error, this.#devices.values());
    }
  }

  /** Lets the hardware finish what it was given. */
  settle(): void {
    this.scheduler.settle();
  }

  /** The machine as a tree: its kernel, plugins with their origins, processes, devices with their filters, tokens. */
  describe(): string {
    return describeMachine(this);
  }

  /**
   * Takes everything down, devices first. Afterwards the machine refuses to work.
   *
   * @throws MachineError MACHINE_TEARDOWN when something threw; the rest is down all the same
   */
  close(): void {
    this.#teardown.close();
  }

  #driver(driver: string | AnySecondaryMmuDefinition): {
    readonly definition: AnySecondaryMmuDefinition;
    readonly origin: string;
  } {
    if (typeof driver !== "string") return { definition: driver, origin: "attach()" };
    const { plugin, origin } = this.registry.find("driver", driver);
    return { definition: plugin.driver, origin };
  }

  #freeName(driver: string): string {
    for (let i = 0; ; i++) if (!this.#devices.has(`${driver}${i}`)) return `${driver}${i}`;
  }
}

/**
 * Puts a machine together.
 *
 * @throws MachineError PLUGIN_UNKNOWN for a kernel or architecture of another name, and what adding plugins throws
 * @example
 * const machine = createMachine({ kernel: "v6.4+upgrade-event", arch: "arm64" });
 * const process = machine.createProcess();
 * machine.run(sysMmap(machine.kernel, process.thread, request), "main");
 * @public
 */
export function createMachine(options: MachineOptions = {}): Machine {
  const registry = (options.registry ?? PluginRegistry.withCore()).copy();
  for (const plugin of options.plugins ?? []) registry.add(plugin, "createMachine({ plugins })");
  const { kernel = DEFAULT_KERNEL, arch = DEFAULT_ARCH } = options;
  return new Machine(
    composeMachine(
      {
        plugins: registry,
        profile: typeof kernel === "string" ? registry.find("kernel-profile", kernel).plugin.profile : kernel,
        architecture: typeof arch === "string" ? registry.find("architecture", arch).plugin.architecture : arch,
        config: options.config ?? {},
        geometry: options.geometry,
      },
      options.compose,
    ),
  );
}
