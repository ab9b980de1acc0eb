import type { Geometry, KernelConfig, UpgradeEventSites } from "@mmu-notifier/core";
import type { Device } from "@mmu-notifier/machine";
import type { HostFacts } from "@mmu-notifier/sdk";
import type { ScriptSession } from "@mmu-notifier/script";
import type { MachineThread } from "../machine-model/thread-task.js";

/**
 * A situation that every driver of a secondary MMU has to come through.
 *
 * @public
 */
export interface Scenario {
  /** `X1` to `X15` are those of drivers.md §8.5, variants have a letter; higher numbers are ours. */
  readonly id: string;
  /** One line: what happens at the same time as what. */
  readonly title: string;
  /** Ops of the script language; the device is `dev0`. */
  readonly script: string;
  /** Pages of the arena. @defaultValue 4 */
  readonly arena?: number;
  /** Driver options that it needs; a driver without them is not put through it. */
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  /** Driver options that it sets where the driver has them. */
  readonly wishes?: Readonly<Record<string, string | number | boolean>>;
  /** Another scenario with other hardware under the driver. @defaultValue false */
  readonly variant?: boolean;
  /** Shape of the page tables: bits of each level, the last first. @defaultValue blocks of four pages */
  readonly bits?: Geometry["bits"];
  readonly config?: Partial<KernelConfig>;
  /** Only on this architecture. */
  readonly arch?: string;
  /** Why it says nothing about this host; undefined when it does. */
  readonly skips?: (host: HostFacts) => string | undefined;
  /** Why it says nothing about this device; undefined when it does. */
  readonly lacks?: (device: Device) => string | undefined;
  /**
   * The place in the kernel where the entry becomes writable, or where hardware's own change is met, if the scenario is about an
   * upgrade.
   */
  readonly upgrade?: keyof UpgradeEventSites;
  /** It is hardware that changes the entry; the kernel only meets the change. @defaultValue false */
  readonly silent?: boolean;
  /** The same, when it depends on the kernel whether it comes to that. */
  readonly mayUpgrade?: keyof UpgradeEventSites;
  /** A place that must not send the event while it holds the page-table lock: callbacks may sleep. */
  readonly sleeps?: keyof UpgradeEventSites;
  /** Threads that no script can say, beside those of the script. */
  readonly threads?: (session: ScriptSession) => readonly MachineThread[];
}
