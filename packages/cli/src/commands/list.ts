import { Argument, type Command } from "commander";
import { type PluginEntry, type PluginKind, pluginObject, PluginRegistry } from "@mmu-notifier/machine";
import { OPS } from "@mmu-notifier/script";
import type { Context } from "../context.js";
import { EXIT_OK } from "../errors.js";
import { table } from "../output/table.js";
import { addInstalledDrivers, addPlugins, type BrokenDriver, shippedRegistry } from "../registry.js";

const KINDS = ["drivers", "kernels", "archs", "plugins", "ops"] as const;
type Kind = (typeof KINDS)[number];

interface Options {
  readonly json?: boolean;
  readonly plugin: readonly string[];
}

interface Row {
  readonly name: string;
  readonly summary: string;
  readonly origin?: string;
}

interface Listing {
  readonly drivers?: readonly Row[];
  readonly kernels?: readonly Row[];
  readonly archs?: readonly Row[];
  /** Invariants, trace readers and exporters. */
  readonly plugins?: readonly Row[];
  readonly ops?: readonly Row[];
  readonly broken?: readonly BrokenDriver[];
}

const TITLES: Readonly<Record<Kind, string>> = {
  drivers: "Drivers",
  kernels: "Kernels",
  archs: "Architectures",
  plugins: "Invariants, trace readers, exporters",
  ops: "Ops of the script language",
};

async function listing(kind: Kind | undefined, given: readonly string[]): Promise<Listing> {
  const wants = (one: Kind): boolean => kind === one || (kind === undefined && one !== "ops");
  const registry = kind === "ops" ? PluginRegistry.withCore() : await shippedRegistry();
  await addPlugins(registry, given, process.cwd());
  // Whatever its keyword says, an installed package may bring plugins of any kind.
  const broken = kind === "ops" ? [] : await addInstalledDrivers(registry, process.cwd());
  const rows = (...kinds: readonly PluginKind[]): readonly Row[] =>
    kinds.flatMap((one) =>
      registry.list(one).map(({ plugin, origin }: PluginEntry) => {
        const { name, summary } = pluginObject(plugin);
        return { name, summary: kinds.length === 1 ? summary : `${one}: ${summary}`, origin };
      }),
    );
  const others = rows("invariant", "trace-reader", "exporter");
  return {
    ...(wants("drivers") ? { drivers: rows("driver") } : {}),
    ...(wants("kernels") ? { kernels: rows("kernel-profile") } : {}),
    ...(wants("archs") ? { archs: rows("architecture") } : {}),
    ...(kind === "plugins" || (wants("plugins") && others.length > 0) ? { plugins: others } : {}),
    ...(wants("ops") ? { ops: OPS.map(({ usage, summary }) => ({ name: usage, summary })) } : {}),
    ...(broken.length > 0 ? { broken } : {}),
  };
}

function show(found: Listing, context: Context): void {
  const { colors } = context;
  const blocks = KINDS.flatMap((kind) => {
    const rows = found[kind];
    if (rows === undefined) return [];
    if (rows.length === 0) return [`${colors.bold(TITLES[kind])}\n  none`];
    const body = rows.map(({ name, summary, origin }) => [colors.cyan(name), summary, colors.dim(origin ?? "")]);
    return [`${colors.bold(TITLES[kind])}\n${table(body)}`];
  });
  context.print(blocks.join("\n\n"));
  for (const { name, error } of found.broken ?? [])
    context.warn(`mmun: ${name} is installed but cannot be used: ${error}`);
}

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .addArgument(new Argument("[what]", "what to list; without it all but ops").choices(KINDS))
    .option(
      "--plugin <name>",
      "a package or file to list as well; may be given again",
      (value: string, before: readonly string[]) => [...before, value],
      [] as readonly string[],
    )
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  mmun list drivers\n  mmun list kernels --json\n  mmun list ops")
    .action(async (what: Kind | undefined, { json = false, plugin }: Options) => {
      const found = await listing(what, plugin);
      if (json) context.print(JSON.stringify(found, undefined, 2));
      else show(found, context);
      done(EXIT_OK);
    });
}
