import type { BindingContext, DeviceContext } from "./context.js";
import type { Binding } from "./binding.js";
import type { Declarations } from "./declarations.js";
import type { HostFacts } from "./host/host-facts.js";

/** The generation of this sdk; a definition names the one it was written for. */
export const SDK_GENERATION = 1;

/** What a binding does with MMU_NOTIFY_PROTECTION_UPGRADE, and the reason in one sentence. */
export interface UpgradeDecision {
  readonly protectionUpgrade: "filter" | "deliver";
  readonly because: string;
}

/**
 * A secondary MMU as its author describes it: the default export of a driver package.
 *
 * Nothing in it may read a clock, a random source or a global: two devices made from equal arguments behave alike.
 *
 * @public
 */
export interface SecondaryMmuDefinition<D = undefined, O extends object = Record<string, never>> {
  /** Kebab-case, unique among the drivers of a machine. */
  readonly name: string;
  /** {@link SDK_GENERATION} that the driver was written for. */
  readonly sdk: 1;
  /** One line for `mmun list`. */
  readonly summary: string;
  /** The assumptions, or how they follow from the host and the options. */
  readonly declares: Declarations | ((host: HostFacts, options: O) => Declarations);
  /** Every option with its default; options of other names or types are refused. */
  readonly options?: O;
  /** What a binding on this host does with upgrades. Absent: whatever `declares.filters` says. */
  readonly decides?: (host: HostFacts, options: O) => UpgradeDecision;
  /** What all bindings of one device share: command queue, IOTLB, pool of ASIDs. A simple driver has none. */
  readonly device?: (context: DeviceContext<O>) => D;
  /** Connects one device to one address space. Runs at set-up, before the first step; throws if the host refuses. */
  readonly create: (context: BindingContext<D, O>) => Binding;
}

/**
 * Gives a driver's object its type. Identity at run time.
 *
 * @example
 * ```ts
 * export default defineSecondaryMmu({
 *   name: "acme-npu",
 *   sdk: 1,
 *   summary: "walks the CPU's tables, caches 64 translations",
 *   declares: { pageTable: "shared-walk", onMissingRight: "fault", resolvesFaultsInSoftware: false, reachedByBroadcast: [], filters: [] },
 *   create: (context) => { … },
 * });
 * ```
 *
 * @public
 */
export function defineSecondaryMmu<D = undefined, O extends object = Record<string, never>>(
  definition: SecondaryMmuDefinition<D, O>,
): SecondaryMmuDefinition<D, O> {
  return definition;
}

/** Any definition, whatever its device and options: what a registry keeps. */
export type AnySecondaryMmuDefinition = Omit<SecondaryMmuDefinition<never, never>, "device" | "options"> & {
  readonly options?: object;
  readonly device?: (context: DeviceContext<never>) => unknown;
};

/** The declarations of a definition on one host. */
export function declarationsOf<D, O extends object>(
  definition: SecondaryMmuDefinition<D, O>,
  host: HostFacts,
  options: O,
): Declarations {
  return typeof definition.declares === "function" ? definition.declares(host, options) : definition.declares;
}

/** What a binding of this definition does with upgrades. */
export function upgradeDecisionOf<D, O extends object>(
  definition: SecondaryMmuDefinition<D, O>,
  host: HostFacts,
  options: O,
): UpgradeDecision {
  if (definition.decides !== undefined) return definition.decides(host, options);
  return declarationsOf(definition, host, options).filters.includes("MMU_NOTIFY_PROTECTION_UPGRADE")
    ? { protectionUpgrade: "filter", because: "declares.filters lists the event" }
    : { protectionUpgrade: "deliver", because: "declares.filters does not list the event" };
}
