import type { Command } from "commander";
import { Oracle, OracleError, type OracleOptions, type OracleReport } from "@mmu-notifier/conformance";
import { parseScripts, type Script } from "@mmu-notifier/script";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { renderSet } from "../output/conformance.js";
import { progress } from "../output/progress.js";
import { readScriptFile } from "../read-script-file.js";
import { shippedRegistry } from "../registry.js";

interface OracleFlags {
  readonly kernel?: string;
  readonly arch?: string;
  readonly json?: boolean;
  readonly show: string;
  readonly script?: string;
}

/** What shells report for a program that a signal ended. */
const EXIT_INTERRUPTED = 130;
const STOPS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function count(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new UsageError(`--${option} ${text}: expected a number, 0 or more`, { [option]: text });
}

function scriptsOf(file: string, { script }: OracleFlags): readonly Script[] {
  const all = parseScripts(readScriptFile(file), { file: file === "-" ? "stdin" : file });
  const scripts = script === undefined ? all : all.filter(({ name }) => name === script);
  if (scripts.length > 0) return scripts;
  const what = script === undefined ? "a script" : `a script ${JSON.stringify(script)}`;
  throw new UsageError(`expected ${what} in ${file}, found none; \`mmun list ops\` lists what a script can do`, {
    file,
  });
}

/** Runs with a signal that an interrupt from outside raises; the machine is put back before this process ends. */
async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  for (const signal of STOPS) process.once(signal, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of STOPS) process.removeListener(signal, stop);
  }
}

async function compareFile(
  file: string,
  flags: OracleFlags,
  context: Context,
  signal: AbortSignal,
): Promise<OracleReport> {
  const scripts = scriptsOf(file, flags);
  const bar = progress(context, scripts.length, flags.json !== true);
  const options: OracleOptions = {
    registry: await shippedRegistry(),
    keep: count("show", flags.show),
    detail: flags.json !== true,
    signal,
    onScript: () => bar.step(),
    ...(flags.kernel === undefined ? {} : { kernel: flags.kernel }),
    ...(flags.arch === undefined ? {} : { arch: flags.arch }),
  };
  const oracle = await Oracle.open(scripts, options);
  try {
    return await oracle.compare(scripts);
  } finally {
    bar.stop();
    await oracle.close();
  }
}

function summary(name: string, report: OracleReport): object {
  const { kernel, arch, release, config, notes, scripts, ops, equal, fields, leftOut } = report;
  return { name, kernel, arch, release, config, notes, scripts, ops, equal, fields, leftOut };
}

function render(name: string, report: OracleReport, context: Context): string {
  const lines = [renderSet({ ...report, name }, context)];
  for (const note of report.notes) lines.push("", `  The model does not know that ${note}.`);
  return lines.join("\n");
}

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument("<file...>", "scripts, or - for standard input")
    .option("--kernel <name>", "a kernel for the model instead of the running one; see `mmun list kernels`")
    .option("--arch <name>", "an architecture for the model instead of this machine's; see `mmun list archs`")
    .option("--script <name>", "only this script of the files")
    .option("--show <n>", "show the first n divergences of each file", "5")
    .option("--json", "print one JSON object with the counts")
    .addHelpText(
      "after",
      `
Needs root, tracefs, /dev/kvm and a C compiler, and says what is missing. Each script runs twice on the kernel; what the kernel does not
do twice in the same way is not compared and counted. The machine is left as it was, also after an interrupt.

Examples:
  sudo mmun oracle upgrade.mm
  sudo mmun oracle upgrade.mm --script quiet --kernel v6.12
  echo 'map 0 4 rw- p anon' | sudo mmun oracle -`,
    )
    .action(async (files: readonly string[], flags: OracleFlags) => {
      try {
        await interruptible(async (signal) => {
          const sets: object[] = [];
          let equal = true;
          for (const [index, file] of files.entries()) {
            const report = await compareFile(file, flags, context, signal);
            equal &&= report.equal === report.ops;
            sets.push(summary(file, report));
            if (flags.json !== true) context.print(`${index === 0 ? "" : "\n"}${render(file, report, context)}`);
          }
          if (flags.json === true) context.print(JSON.stringify({ sets }));
          done(equal ? EXIT_OK : EXIT_FINDING);
        });
      } catch (error) {
        if (!(error instanceof OracleError && error.code === "ORACLE_INTERRUPTED")) throw error;
        context.warn(`mmun: ${error.message}.`);
        done(EXIT_INTERRUPTED);
      }
    });
}
