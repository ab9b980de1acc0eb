import type { NotificationStream, NotifierBus } from "@mmu-notifier/bus";
import type { Architecture, Geometry, Kernel, KernelConfig, KernelProfile, Thread } from "@mmu-notifier/core";
import type { AddressSpaceAllocator, FaultServices } from "@mmu-notifier/sdk";
import type { Memory, Scheduler } from "@mmu-notifier/steps";
import type { InjectionToken } from "./di.js";
import type { PluginRegistry } from "./plugin-registry.js";
import type { Teardown } from "./teardown.js";
import type { Timeline } from "./timeline.js";

/*
 * What the containers hold. Every token is a symbol with the type of what it resolves to; nothing is injected by class or by
 * reflection, so a plugin in plain JavaScript resolves the same things.
 */

// One of each in a machine
export const PLUGINS: InjectionToken<PluginRegistry> = Symbol("machine:plugins");
export const PROFILE: InjectionToken<KernelProfile> = Symbol("machine:kernel-profile");
export const ARCHITECTURE: InjectionToken<Architecture> = Symbol("machine:architecture");
export const CONFIG: InjectionToken<Partial<KernelConfig>> = Symbol("machine:config");
export const GEOMETRY: InjectionToken<Geometry> = Symbol("machine:geometry");
export const MEMORY: InjectionToken<Memory> = Symbol("machine:memory");
export const KERNEL: InjectionToken<Kernel> = Symbol("machine:kernel");
export const BUS: InjectionToken<NotifierBus> = Symbol("machine:bus");
export const SCHEDULER: InjectionToken<Scheduler> = Symbol("machine:scheduler");
export const TIMELINE: InjectionToken<Timeline> = Symbol("machine:timeline");
/** The CPUs' address-space ids, which devices pin. */
export const ASIDS: InjectionToken<AddressSpaceAllocator> = Symbol("machine:asids");
/** What the operating system does for a device that faults in `mm`. */
export const FAULT_SERVICES: InjectionToken<(mm: number) => FaultServices> = Symbol("machine:fault-services");
export const TEARDOWN: InjectionToken<Teardown> = Symbol("machine:teardown");

// One of each in an address space; a child container resolves the machine's as well
export const THREAD: InjectionToken<Thread> = Symbol("process:thread");
export const NOTIFICATIONS: InjectionToken<NotificationStream> = Symbol("process:notifications");

/** Every token by name, in the order {@link describeTokens} lists them. */
export const MACHINE_TOKENS = {
  PLUGINS,
  PROFILE,
  ARCHITECTURE,
  CONFIG,
  GEOMETRY,
  MEMORY,
  KERNEL,
  BUS,
  SCHEDULER,
  TIMELINE,
  ASIDS,
  FAULT_SERVICES,
  TEARDOWN,
} as const;
export const PROCESS_TOKENS = { THREAD, NOTIFICATIONS } as const;
