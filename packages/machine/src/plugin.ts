import type { Architecture, KernelProfile } from "@mmu-notifier/core";
import { type AnySecondaryMmuDefinition, checkDefinition } from "@mmu-notifier/sdk";
import { MachineError } from "./errors.js";

/** A secondary MMU. */
export interface DriverPlugin {
  readonly kind: "driver";
  readonly driver: AnySecondaryMmuDefinition;
}

/** Page-table and TLB rules of a CPU. */
export interface ArchitecturePlugin {
  readonly kind: "architecture";
  readonly architecture: Architecture;
}

/** What notifies where in a kernel. */
export interface KernelProfilePlugin {
  readonly kind: "kernel-profile";
  readonly profile: KernelProfile;
}

/**
 * Everything that a machine looks up by name. Plain objects, so that a package can export one without importing this one.
 *
 * @public
 */
export type Plugin = DriverPlugin | ArchitecturePlugin | KernelProfilePlugin;

export type PluginKind = Plugin["kind"];

export const PLUGIN_KINDS: readonly PluginKind[] = ["driver", "kernel-profile", "architecture"];

/** What a package may export by default: a driver as `defineSecondaryMmu` returns it, any plugin, or a list of them. */
export type PluginExport = AnySecondaryMmuDefinition | Plugin | readonly (AnySecondaryMmuDefinition | Plugin)[];

/** The name under which a plugin is found. */
export function pluginName(plugin: Plugin): string {
  switch (plugin.kind) {
    case "driver":
      return plugin.driver.name;
    case "architecture":
      return plugin.architecture.name;
    case "kernel-profile":
      return plugin.profile.name;
  }
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Checks what a package exports and makes a list of plugins of it.
 *
 * @param origin where it comes from, for messages
 * @throws MachineError PLUGIN_INVALID; SdkError SDK_DEFINITION_INVALID, SDK_VERSION_UNSUPPORTED
 */
export function toPlugins(exported: unknown, origin: string): readonly Plugin[] {
  if (Array.isArray(exported)) return exported.flatMap((one: unknown) => toPlugins(one, origin));
  if (typeof exported !== "object" || exported === null)
    return [{ kind: "driver", driver: checkDriver(exported, origin) }];
  const fields = exported as Fields;
  switch (fields["kind"]) {
    case undefined:
      return [{ kind: "driver", driver: checkDriver(fields, origin) }];
    case "driver":
      return [{ kind: "driver", driver: checkDriver(part(fields, "driver", origin), origin) }];
    case "architecture":
      return [
        {
          kind: "architecture",
          architecture: named(part(fields, "architecture", origin), "architecture", origin) as unknown as Architecture,
        },
      ];
    case "kernel-profile":
      return [
        {
          kind: "kernel-profile",
          profile: named(part(fields, "profile", origin), "kernel profile", origin) as unknown as KernelProfile,
        },
      ];
    default:
      throw invalid(
        origin,
        `its kind is ${JSON.stringify(fields["kind"])}; known kinds are ${PLUGIN_KINDS.join(", ")}`,
      );
  }
}

function invalid(origin: string, what: string): MachineError {
  return new MachineError(
    "PLUGIN_INVALID",
    `${origin} is no plugin: ${what}. Its default export has to be what defineSecondaryMmu returns`,
    { origin },
  );
}

function part(fields: Fields, field: string, origin: string): Fields {
  const value = fields[field];
  if (typeof value !== "object" || value === null) throw invalid(origin, `it lacks the object "${field}"`);
  return value as Fields;
}

function named(fields: Fields, what: string, origin: string): Fields {
  const { name } = fields;
  if (typeof name !== "string" || name === "") throw invalid(origin, `the ${what} has no name`);
  return fields;
}

/** @throws SdkError SDK_DEFINITION_INVALID, SDK_VERSION_UNSUPPORTED */
function checkDriver(candidate: unknown, origin: string): AnySecondaryMmuDefinition {
  return checkDefinition(candidate, origin);
}
