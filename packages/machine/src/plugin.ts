import type { Architecture, KernelProfile } from "@mmu-notifier/core";
import { type AnySecondaryMmuDefinition, checkDefinition } from "@mmu-notifier/sdk";
import { MachineError } from "./errors.js";
import type { Machine } from "./machine.js";

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

/** A rule that must hold whenever nobody is in the middle of something: looked at after every op of a script. */
export interface Invariant {
  readonly name: string;
  readonly summary: string;
  /** What is broken, in one sentence; undefined when nothing is. Changes nothing. */
  check(machine: Machine): string | undefined;
}

/** What makes a program trace of a file in another format. */
export interface TraceReader {
  readonly name: string;
  readonly summary: string;
  /** @param head the first few hundred characters of the file, decompressed */
  recognizes(head: string): boolean;
  /** The whole file as a trace that `mmun replay` reads. */
  convert(text: string): string;
}

/** What makes a file for another program of what a script came to. */
export interface Exporter {
  readonly name: string;
  readonly summary: string;
  /** @param run what `mmun run --json` prints for one script */
  export(run: object): string;
}

/** An {@link Invariant}. */
export interface InvariantPlugin {
  readonly kind: "invariant";
  readonly invariant: Invariant;
}

/** A {@link TraceReader}. */
export interface TraceReaderPlugin {
  readonly kind: "trace-reader";
  readonly reader: TraceReader;
}

/** An {@link Exporter}. */
export interface ExporterPlugin {
  readonly kind: "exporter";
  readonly exporter: Exporter;
}

/**
 * Everything that is looked up by name. Plain objects, so that a package can export one without importing this one.
 *
 * @public
 */
export type Plugin =
  | DriverPlugin
  | ArchitecturePlugin
  | KernelProfilePlugin
  | InvariantPlugin
  | TraceReaderPlugin
  | ExporterPlugin;

export type PluginKind = Plugin["kind"];

/** What a plugin of each kind is in its object, what people call it, and the functions that it must have. */
const KINDS: Readonly<
  Record<PluginKind, { readonly field: string; readonly word: string; readonly functions: readonly string[] }>
> = {
  driver: { field: "driver", word: "driver", functions: [] },
  "kernel-profile": { field: "profile", word: "kernel", functions: [] },
  architecture: { field: "architecture", word: "architecture", functions: [] },
  invariant: { field: "invariant", word: "invariant", functions: ["check"] },
  "trace-reader": { field: "reader", word: "trace reader", functions: ["recognizes", "convert"] },
  exporter: { field: "exporter", word: "exporter", functions: ["export"] },
};

export const PLUGIN_KINDS = Object.keys(KINDS) as readonly PluginKind[];

/** What people call a kind. */
export const wordOf = (kind: PluginKind): string => KINDS[kind].word;

/** What a package may export by default: a driver as `defineSecondaryMmu` returns it, any plugin, or a list of them. */
export type PluginExport = AnySecondaryMmuDefinition | Plugin | readonly (AnySecondaryMmuDefinition | Plugin)[];

/** The object of a plugin, whatever its kind: the name under which it is found, and one line about it. */
export function pluginObject(plugin: Plugin): { readonly name: string; readonly summary: string } {
  switch (plugin.kind) {
    case "driver":
      return plugin.driver;
    case "architecture":
      return plugin.architecture;
    case "kernel-profile":
      return plugin.profile;
    case "invariant":
      return plugin.invariant;
    case "trace-reader":
      return plugin.reader;
    case "exporter":
      return plugin.exporter;
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
  const { kind } = fields;
  if (kind === undefined) return [{ kind: "driver", driver: checkDriver(fields, origin) }];
  if (typeof kind !== "string" || !Object.hasOwn(KINDS, kind))
    throw invalid(origin, `its kind is ${JSON.stringify(kind)}; known kinds are ${PLUGIN_KINDS.join(", ")}`);
  const { field, word, functions } = KINDS[kind as PluginKind];
  const object = named(part(fields, field, origin), word, origin);
  if (kind === "driver") return [{ kind, driver: checkDriver(object, origin) }];
  for (const name of functions)
    if (typeof object[name] !== "function")
      throw invalid(origin, `the ${word} ${String(object["name"])} has no function ${name}()`);
  const plugin: unknown = { kind, [field]: object };
  return [plugin as Plugin];
}

function invalid(origin: string, what: string): MachineError {
  return new MachineError(
    "PLUGIN_INVALID",
    `${origin} is no plugin: ${what}. Its default export has to be what defineSecondaryMmu returns, or { kind, … } with one of the kinds ${PLUGIN_KINDS.join(", ")}`,
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
