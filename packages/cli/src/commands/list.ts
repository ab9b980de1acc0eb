import { Argument, type Command } from "commander";
import { PluginRegistry } from "@mmu-notifier/machine";
import { OPS } from "@mmu-notifier/script";
import type { Context } from "../context.js";
import { EXIT_OK } from "../errors.js";
import { table } from "../output/table.js";
import { addInstalledDrivers, type BrokenDriver, shippedRegistry } from "../registry.js";

const KINDS = ["drivers", "kernels", "archs", "ops"] as const;
type Kind = (typeof KINDS)[number];

interface Row {
  readonly name: string;
  readonly summary: string;
  readonly origin?: string;
}

interface Listing {
  readonly drivers?: readonly Row[];
  readonly kernels?: readonly Row[];
  readonly archs?: readonly Row[];
  readonly ops?: readonly Row[];
  readonly broken?: readonly BrokenDriver[];
}

const TITLES: Readonly<Record<Kind, string>> = {
  drivers: "Drivers",
  kernels: "Kernels",
  archs: "Architectures",
  ops: "Ops of the script language",
};

async function listing(kind: Kind | undefined): Promise<Listing> {
  const wants = (one: Kind): boolean => kind === one || (kind === undefined && one !== "ops");
  const registry = wants("drivers") ? await shippedRegistry() : PluginRegistry.withCore();
  const broken = wants("drivers") ? await addInstalledDrivers(registry, process.cwd()) : [];
  return {
    ...(wants("drivers")
      ? {
          drivers: registry
            .list("driver")
            .map(({ plugin, name, origin }) => ({ name, summary: plugin.driver.summary, origin })),
        }
      : {}),
    ...(wants("kernels")
      ? {
          kernels: registry
            .list("kernel-profile")
            .map(({ plugin, name, origin }) => ({ name, summary: plugin.profile.summary, origin })),
        }
      : {}),
    ...(wants("archs")
      ? {
          archs: registry
            .list("architecture")
            .map(({ plugin, name, origin }) => ({ name, summary: plugin.architecture.summary, origin })),
        }
      : {}),
    ...(wants("ops") ? { ops: OPS.map(({ usage, summary }) => ({ name: usage, summary })) } : {}),
    ...(broken.length > 0 ? { broken } : {}),
  };
}

function show(found: Listing, context: Context): void {
  const { colors } = context;
  const blocks = KINDS.flatMap((kind) => {
    const rows = found[kind];
    if (rows === undefined) return [];
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
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  mmun list drivers\n  mmun list kernels --json\n  mmun list ops")
    .action(async (what: Kind | undefined, { json = false }: { readonly json?: boolean }) => {
      const found = await listing(what);
      if (json) context.print(JSON.stringify(found, undefined, 2));
      else show(found, context);
      done(EXIT_OK);
    });
}
