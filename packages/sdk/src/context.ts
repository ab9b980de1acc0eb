import type { NotificationStream } from "@mmu-notifier/bus";
import type { Geometry } from "@mmu-notifier/core";
import type { Costs } from "./costs.js";
import type { DeviceEvents } from "./device-event.js";
import type { HardwareTask } from "./binding.js";
import type { DeviceMemory } from "./device-memory.js";
import type { FailurePoints } from "./failure-points.js";
import type { DvmLink } from "./host/dvm-link.js";
import type { FaultServices } from "./host/fault-services.js";
import type { IntervalServices } from "./host/interval-services.js";
import type { PageServices } from "./host/page-services.js";
import type { HostFacts } from "./host/host-facts.js";
import type { AddressSpaceAllocator } from "./host/asid-pool.js";
import type { Walker } from "./hardware/walker.js";

/** What a building block needs: where its state lives, where it counts, and who watches. */
export interface HardwareContext {
  readonly memory: DeviceMemory;
  readonly costs: Costs;
  readonly events: DeviceEvents;
  /** Where hardware says how it may fail. */
  readonly failures: FailurePoints;
  /** The shape of the machine's page tables. */
  readonly geometry: Geometry;
  /** Base pages that a page-table entry of each level maps; level 0 is the pte. */
  readonly spans: readonly number[];
}

/**
 * What a definition's `device` function gets: everything that belongs to the device and to no address space.
 *
 * @public
 */
export interface DeviceContext<O> extends HardwareContext {
  /** Name of this device, for instance `smmu0`. */
  readonly name: string;
  /** Name of the definition. */
  readonly driver: string;
  /** The definition's defaults with the user's options over them. */
  readonly options: O;
  readonly host: HostFacts;
  /** Broadcast TLB maintenance of the CPUs. */
  readonly dvm: DvmLink;
  /** The CPUs' address-space ids. */
  readonly asids: AddressSpaceAllocator;
  /** Adds a path of the hardware's own, to be run whenever it can move. At set-up only. */
  hardware(task: HardwareTask): void;
}

/** The address space of a binding. */
export interface BoundMm {
  /** Row of the mm in the kernel. */
  readonly id: number;
  /** The CPU's address-space id; call it in a step. */
  asid(): number;
}

/**
 * What a definition's `create` function gets.
 *
 * @public
 */
export interface BindingContext<D, O> extends DeviceContext<O> {
  /** What `device` returned; undefined for a driver without one. */
  readonly device: D;
  readonly mm: BoundMm;
  /** The notifier list of the mm. */
  readonly notifications: NotificationStream;
  /** Interval notifiers of the mm, for mirrors. */
  readonly intervals: IntervalServices;
  /** Reads the CPU's page table of the mm, with the access-flag and dirty management that `declares` says. */
  readonly walker: Walker;
  /** What the operating system does about faults of the device. */
  readonly faults: FaultServices;
  /** Pins, exclusive access, migration. */
  readonly pages: PageServices;
}
