import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import {
  fuzzProfiles,
  fuzzScript,
  kindOf,
  Oracle,
  OracleError,
  type OracleOptions,
  type OracleReport,
  type Verdict,
} from "@mmu-notifier/conformance";
import { parseScripts, type Script } from "@mmu-notifier/script";
import { didYouMean } from "@mmu-notifier/steps";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { refuse } from "../option-clash.js";
import { corpusLines, renderFind, renderOracle, summarizeOracle } from "../output/oracle.js";
import { progress } from "../output/progress.js";
import { readScriptFile, reasonOf } from "../read-script-file.js";
import { shippedRegistry } from "../registry.js";

interface OracleFlags {
  readonly kernel?: string;
  readonly arch?: string;
  readonly json?: boolean;
  readonly show: string;
  readonly script?: string;
  readonly fuzz?: string;
  readonly seed: string;
  readonly profile?: string;
  readonly out?: string;
}

/** Scripts that are compared together. */
interface ScriptSet {
  readonly name: string;
  readonly scripts: readonly Script[];
}

/** What shells report for a program that a signal ended. */
const EXIT_INTERRUPTED = 130;
const STOPS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function count(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new UsageError(`--${option} ${text}: expected a number, 0 or more`, { [option]: text });
}

function scriptsOf(file: string, { script }: OracleFlags): ScriptSet {
  const all = parseScripts(readScriptFile(file), { file: file === "-" ? "stdin" : file });
  const scripts = script === undefined ? all : all.filter(({ name }) => name === script);
  if (scripts.length > 0) return { name: file, scripts };
  const what = script === undefined ? "a script" : `a script ${JSON.stringify(script)}`;
  throw new UsageError(`expected ${what} in ${file}, found none; \`mmun list ops\` lists what a script can do`, {
    file,
  });
}

function fuzzed({ fuzz, seed, profile, script }: OracleFlags): ScriptSet {
  if (profile !== undefined && !fuzzProfiles.includes(profile)) {
    const hint = didYouMean(profile, fuzzProfiles);
    throw new UsageError(
      `--profile ${profile}: there is no such profile.${hint} There are ${fuzzProfiles.join(", ")}`,
      {
        profile,
      },
    );
  }
  const number = count("seed", seed);
  const only = profile === undefined ? fuzzProfiles : [profile];
  const all = Array.from({ length: count("fuzz", fuzz!) }, (_, index) => fuzzScript(number, index, only).script);
  const scripts = script === undefined ? all : all.filter(({ name }) => name === script);
  if (scripts.length > 0) return { name: `fuzz, seed ${seed}`, scripts };
  throw new UsageError(
    `--fuzz ${fuzz!}: expected at least one script${script === undefined ? "" : ` named ${script}`}`,
  );
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

/** How a set compares, and the first difference of each kind in a script that is as small as it gets. */
interface Comparison {
  readonly report: OracleReport;
  readonly finds: readonly Verdict[];
}

async function compare(
  { scripts }: ScriptSet,
  flags: OracleFlags,
  context: Context,
  signal: AbortSignal,
): Promise<Comparison> {
  const bar = progress(context, scripts.length, flags.json !== true);
  const show = count("show", flags.show);
  const shrinks = flags.fuzz !== undefined;
  const different = new Map<string, Verdict>();
  const options: OracleOptions = {
    registry: await shippedRegistry(),
    keep: shrinks ? 0 : show,
    detail: flags.json !== true,
    signal,
    onScript: (verdict) => {
      bar.step();
      const [first] = verdict.divergences;
      if (shrinks && first !== undefined && different.size < show && !different.has(kindOf(first)))
        different.set(kindOf(first), verdict);
    },
    ...(flags.kernel === undefined ? {} : { kernel: flags.kernel }),
    ...(flags.arch === undefined ? {} : { arch: flags.arch }),
  };
  const oracle = await Oracle.open(scripts, options);
  try {
    const report = await oracle.compare(scripts);
    bar.stop();
    const finds: Verdict[] = [];
    for (const verdict of different.values()) finds.push((await oracle.shrink(verdict)) ?? verdict);
    return { report, finds };
  } finally {
    bar.stop();
    await oracle.close();
  }
}

/** @throws UsageError when the file cannot be written */
function writeCorpus(file: string, lines: readonly string[]): void {
  try {
    writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
  } catch (error) {
    throw new UsageError(
      `--out ${file}: cannot be written: ${reasonOf(error)}. Give the path of a new file in a folder that exists`,
      { out: file },
    );
  }
}

async function run(command: Command, files: readonly string[], flags: OracleFlags, context: Context): Promise<number> {
  if ((files.length === 0) === (flags.fuzz === undefined))
    throw new UsageError("expected either files with scripts or --fuzz with a number of scripts to make up");
  if (flags.fuzz === undefined)
    refuse(command, ["seed", "profile", "out"], "without --fuzz N, which makes scripts up. Add it, or leave this out");
  if (flags.out !== undefined) writeCorpus(flags.out, []);
  const sets = flags.fuzz === undefined ? files.map((file) => scriptsOf(file, flags)) : [fuzzed(flags)];
  return interruptible(async (signal) => {
    const summaries: object[] = [];
    const lines: string[] = [];
    let equal = true;
    for (const [index, set] of sets.entries()) {
      const { report, finds } = await compare(set, flags, context, signal);
      equal &&= report.equal === report.ops;
      lines.push(...finds.flatMap((find) => corpusLines(find, report)));
      summaries.push(summarizeOracle(set.name, report));
      if (flags.json === true) continue;
      const texts = [
        renderOracle(set.name, report, context),
        ...finds.map((find) => renderFind(find, report, context)),
      ];
      context.print(`${index === 0 ? "" : "\n"}${texts.join("\n\n")}`);
    }
    if (flags.out !== undefined) writeCorpus(flags.out, lines);
    if (flags.json === true)
      context.print(JSON.stringify({ sets: summaries, finds: lines.map((line) => JSON.parse(line) as object) }));
    return equal ? EXIT_OK : EXIT_FINDING;
  });
}

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument("[file...]", "scripts, or - for standard input")
    .option("--fuzz <n>", "make up n scripts instead, and shrink the first difference of each kind")
    .option("--seed <n>", "other scripts for --fuzz; the same seed makes the same scripts", "1")
    .option("--profile <name>", `only scripts of one kind for --fuzz: ${fuzzProfiles.join(", ")}`)
    .option("--out <file>", "write the shrunk scripts with what this kernel did, as a corpus for `mmun conform`")
    .option("--kernel <name>", "a kernel for the model instead of the running one; see `mmun list kernels`")
    .option("--arch <name>", "an architecture for the model instead of this machine's; see `mmun list archs`")
    .option("--script <name>", "only this script")
    .option("--show <n>", "show the first n differences of each file, or n kinds of differences with --fuzz", "5")
    .option("--json", "print one JSON object with the counts and the shrunk scripts' records")
    .addHelpText(
      "after",
      `
Needs root, tracefs, /dev/kvm and a C compiler, and says what is missing. Each script runs twice on the kernel; what the kernel does not
do twice in the same way is not compared and counted. The machine is left as it was, also after an interrupt.

Examples:
  sudo mmun oracle upgrade.mm
  sudo mmun oracle upgrade.mm --script quiet --kernel v6.12
  sudo mmun oracle --fuzz 2000 --seed 7 --out finds.jsonl
  echo 'map 0 4 rw- p anon' | sudo mmun oracle -`,
    )
    .action(async (files: readonly string[], flags: OracleFlags) => {
      try {
        done(await run(command, files, flags, context));
      } catch (error) {
        if (!(error instanceof OracleError && error.code === "ORACLE_INTERRUPTED")) throw error;
        context.warn(`mmun: ${error.message}.`);
        done(EXIT_INTERRUPTED);
      }
    });
}
