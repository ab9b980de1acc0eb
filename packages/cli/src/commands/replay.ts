import { existsSync, statSync } from "node:fs";
import { type ReplayDrivers, renderReport, replayFile, shippedTraces } from "@mmu-notifier/replay";
import { didYouMean } from "@mmu-notifier/steps";
import { type Command, Option } from "commander";
import { SingleBar, Presets } from "cli-progress";
import type { Context } from "../context.js";
import { EXIT_OK, EXIT_USAGE, UsageError } from "../errors.js";
import { complain, driversThrew } from "../output/complain.js";
import { addPlugins, resolveDriver, shippedRegistry } from "../registry.js";
import { parseDriver } from "../run-scripts.js";

interface ReplayCommandOptions {
  readonly kernel?: string;
  readonly arch?: string;
  readonly driver: readonly string[];
  readonly plugin: readonly string[];
  readonly policy: "follow" | "idle";
  readonly upgradeEvent: boolean;
  readonly instructions?: boolean;
  readonly json?: boolean;
}

const SHIPPED: Readonly<Record<string, string>> = shippedTraces;

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument("<trace>", `a trace file, compressed or not, or one that ships: ${Object.keys(SHIPPED).join(", ")}`)
    .option(
      "--kernel <name>",
      "the kernel; see `mmun list kernels` (default: v6.18, which recorded the shipped traces)",
    )
    .option("--arch <name>", "the architecture; see `mmun list archs` (default: x86-64)")
    .option(
      "--driver <[device=]name[:key=value,…]>",
      "a driver to attach, by name, package or path; may be given again (default: all that ship)",
      (value: string, before: readonly string[]) => [...before, value],
      [] as readonly string[],
    )
    .option(
      "--plugin <name>",
      "a package or file with trace readers, kernels, …; may be given again",
      (value: string, before: readonly string[]) => [...before, value],
      [] as readonly string[],
    )
    .addOption(
      new Option("--policy <policy>", "what the devices do: use every page the program faults in, or only listen")
        .choices(["follow", "idle"])
        .default("follow"),
    )
    .option("--no-upgrade-event", "do not replay again to see what MMU_NOTIFY_PROTECTION_UPGRADE adds")
    .option("--instructions", "count instruction fetches of a page trace as reads")
    .option("--json", "print the report as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  mmun replay mmapdb4k\n  mmun replay snapshot --kernel v6.12 --arch arm64 --driver arm-smmu\n  mmun replay my.trace.gz --json",
    )
    .action(async (trace: string, options: ReplayCommandOptions) => {
      const file = traceFile(trace);
      const bar = progressOf(file, context, options.json === true);
      const registry = await shippedRegistry();
      await addPlugins(registry, options.plugin, process.cwd());
      const drivers: ReplayDrivers[number][] = [];
      for (const text of options.driver) {
        const { device, driver, options: settings } = parseDriver(text);
        const name = await resolveDriver(registry, driver, process.cwd());
        drivers.push({ driver: name, ...(device === undefined ? {} : { name: device }), options: settings });
      }
      try {
        const found = await replayFile(file, {
          registry,
          policy: options.policy,
          upgradeEvent: options.upgradeEvent,
          instructions: options.instructions === true,
          onProgress: ({ bytesRead }) => bar.update(bytesRead),
          ...(options.kernel === undefined ? {} : { kernel: options.kernel }),
          ...(options.arch === undefined ? {} : { arch: options.arch }),
          ...(drivers.length === 0 ? {} : { drivers }),
        });
        bar.stop();
        // As it was asked for: where a trace that ships is installed tells nobody anything.
        const report = { ...found, trace };
        context.print(options.json === true ? JSON.stringify(report, undefined, 2) : renderReport(report).trimEnd());
        const { driverErrors } = report;
        if (driverErrors.length > 0) context.warn(complain(driversThrew(driverErrors)));
        done(driverErrors.length === 0 ? EXIT_OK : EXIT_USAGE);
      } finally {
        bar.stop();
      }
    });
}

/**
 * The file that is meant: a trace that ships goes by its name.
 *
 * @throws UsageError for a name that is no file either
 */
function traceFile(trace: string): string {
  if (Object.hasOwn(SHIPPED, trace)) return SHIPPED[trace]!;
  if (/^[\w-]+$/.test(trace) && !existsSync(trace)) {
    const names = Object.keys(SHIPPED);
    throw new UsageError(
      `there is no file ${trace}, and no trace of that name ships.${didYouMean(trace, names)} There are ${names.join(", ")}`,
      { trace },
    );
  }
  return trace;
}

/** A bar on stderr over the bytes of the file, on a terminal. */
function progressOf(file: string, context: Context, quiet: boolean): { update(bytes: number): void; stop(): void } {
  const bytes = quiet || !context.interactive ? undefined : statSync(file, { throwIfNoEntry: false })?.size;
  if (bytes === undefined) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar(
    { format: "{bar} {percentage} %, {eta_formatted} left", stream: process.stderr, clearOnComplete: true },
    Presets.shades_classic,
  );
  bar.start(bytes, 0);
  return { update: (read) => bar.update(read), stop: () => bar.stop() };
}
