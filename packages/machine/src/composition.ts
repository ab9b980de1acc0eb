import {
  type Architecture,
  DEFAULT_CONFIG,
  FOUR_LEVEL,
  type Geometry,
  Kernel,
  type KernelConfig,
  type KernelProfile,
} from "@mmu-notifier/core";
import { faultServices, machineAsids } from "@mmu-notifier/sdk";
import { Memory } from "@mmu-notifier/steps";
import { type DependencyContainer, emptyContainer, instanceCachingFactory } from "./di.js";
import type { PluginRegistry } from "./plugin-registry.js";
import { Teardown } from "./teardown.js";
import { Timeline } from "./timeline.js";
import {
  ARCHITECTURE,
  ASIDS,
  BUS,
  CONFIG,
  FAULT_SERVICES,
  GEOMETRY,
  KERNEL,
  MACHINE_TOKENS,
  MEMORY,
  PLUGINS,
  PROCESS_TOKENS,
  PROFILE,
  SCHEDULER,
  TEARDOWN,
  TIMELINE,
} from "./tokens.js";

/** What decides a machine, as plain values. */
export interface Parts {
  readonly plugins: PluginRegistry;
  readonly profile: KernelProfile;
  readonly architecture: Architecture;
  readonly config: Partial<KernelConfig>;
  readonly geometry: Geometry | undefined;
}

/**
 * The container of one machine. Factories build each thing when it is first asked for, once; what somebody registers before
 * that replaces it (`options.compose`).
 */
export function composeMachine(
  parts: Parts,
  compose: ((container: DependencyContainer) => void) | undefined,
): DependencyContainer {
  const container = emptyContainer();
  container.registerInstance(PLUGINS, parts.plugins);
  container.registerInstance(PROFILE, parts.profile);
  container.registerInstance(ARCHITECTURE, parts.architecture);
  container.registerInstance(CONFIG, { ...DEFAULT_CONFIG, ...parts.config });
  container.registerInstance(GEOMETRY, parts.geometry ?? FOUR_LEVEL);
  container.registerInstance(TEARDOWN, new Teardown(`the machine (${parts.profile.name}, ${parts.architecture.name})`));
  container.register(MEMORY, { useFactory: instanceCachingFactory(() => new Memory()) });
  container.register(KERNEL, {
    useFactory: instanceCachingFactory(
      (c) =>
        new Kernel({
          memory: c.resolve(MEMORY),
          profile: c.resolve(PROFILE),
          arch: c.resolve(ARCHITECTURE),
          geometry: c.resolve(GEOMETRY),
          config: c.resolve(CONFIG),
        }),
    ),
  });
  container.register(ASIDS, { useFactory: instanceCachingFactory((c) => machineAsids(c.resolve(KERNEL))) });
  container.register(FAULT_SERVICES, { useFactory: (c) => (mm) => faultServices(c.resolve(KERNEL), mm) });
  container.register(BUS, { useFactory: (c) => c.resolve(KERNEL).bus });
  container.register(SCHEDULER, { useFactory: (c) => c.resolve(KERNEL).scheduler });
  container.register(TIMELINE, { useFactory: instanceCachingFactory((c) => new Timeline(c.resolve(KERNEL))) });
  compose?.(container);
  return container;
}

/** Names of the tokens that a container resolves, the machine's or those of an address space. */
export function describeTokens(scope: "machine" | "process"): readonly string[] {
  return Object.values(scope === "machine" ? MACHINE_TOKENS : PROCESS_TOKENS).map((token) => String(token.description));
}
