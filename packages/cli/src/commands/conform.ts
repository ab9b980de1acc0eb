import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { conform, type ConformOptions, CorpusError, readCorpus, type SetReport } from "@mmu-notifier/conformance";
import { didYouMean } from "@mmu-notifier/steps";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { renderBrief, renderSet } from "../output/conformance.js";
import { progress } from "../output/progress.js";
import { refuse } from "../option-clash.js";
import { unreadable } from "../read-script-file.js";
import { shippedRegistry } from "../registry.js";

interface ConformFlags {
  readonly kernel?: string;
  readonly arch?: string;
  readonly json?: boolean;
  readonly brief?: boolean;
  readonly show: string;
  readonly only?: string;
  readonly script?: string;
}

/** A file that cannot be read is wrong use; one whose lines are no records is wrong input. Both name the file. */
async function countCases(file: string): Promise<number> {
  let cases = 0;
  const corpus = readCorpus(file);
  while ((await corpus.next()).done !== true) cases++;
  return cases;
}

const CORPUS = /\.jsonl(\.gz|\.zst)?$/;

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw unreadable(path, error, "Give a recorded corpus (*.jsonl, plain, gzip or zstd), or a folder of them");
  }
}

/** The files, and in the place of a folder the corpora in it, by name. */
function corporaIn(paths: readonly string[]): readonly string[] {
  return paths.flatMap((path) => {
    if (path === "-")
      throw new UsageError("a corpus is not read from standard input. Give a file, or a folder of them");
    if (!isFolder(path)) return [path];
    const names = readdirSync(path).filter((name) => CORPUS.test(name));
    if (names.length > 0) return names.sort().map((name) => join(path, name));
    throw new UsageError(`expected recorded corpora (*.jsonl, plain, gzip or zstd) in ${path}, found none`, {
      file: path,
    });
  });
}

function shown(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 0) return count;
  throw new UsageError(`--show ${text}: expected how many divergences to show, 0 or more`, { show: text });
}

function check(report: SetReport, file: string, { only, script }: ConformFlags): void {
  if (report.scripts === 0) {
    const what = script === undefined ? "a recorded script" : `a script ${JSON.stringify(script)} that is compared`;
    throw new UsageError(`expected ${what} in ${file}, found none`, { file });
  }
  if (only === undefined || only in report.fields) return;
  const names = Object.keys(report.known);
  throw new UsageError(
    `--only ${only}: ${file} has no such field.${didYouMean(only, names)} It has ${names.join(", ")}`,
    { only },
  );
}

function summary({ name, kernel, arch, ops, equal, fields }: SetReport): object {
  return { name, kernel, arch, ops, equal, fields };
}

async function run(file: string, flags: ConformFlags, context: Context): Promise<SetReport> {
  const bar = progress(
    context,
    context.interactive && flags.json !== true ? await countCases(file) : 0,
    flags.json !== true,
  );
  const options: ConformOptions = {
    registry: await shippedRegistry(),
    keep: flags.brief === true ? Infinity : shown(flags.show),
    detail: flags.json !== true && flags.brief !== true,
    onScript: () => bar.step(),
    ...(flags.kernel === undefined ? {} : { kernel: flags.kernel }),
    ...(flags.arch === undefined ? {} : { arch: flags.arch }),
    ...(flags.script === undefined ? {} : { script: flags.script }),
    ...(flags.only === undefined ? {} : { only: flags.only }),
  };
  try {
    const report = await conform(file, options);
    check(report, file, flags);
    return report;
  } catch (error) {
    if (error instanceof CorpusError) throw new UsageError(error.message, { file });
    throw error;
  } finally {
    bar.stop();
  }
}

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument("<file...>", "recorded corpora (JSON lines, plain, gzip or zstd), or folders of them")
    .option("--kernel <name>", "a kernel instead of the one in the file's name; see `mmun list kernels`")
    .option("--arch <name>", "an architecture instead of the one in the file's name; see `mmun list archs`")
    .option("--script <name>", "only this script of the files")
    .option("--only <field>", "only this field counts")
    .option("--show <n>", "show the first n divergences of each set", "5")
    .option("--brief", "one line a set, and one a script that differs")
    .option("--json", "print one JSON object with the counts")
    .addHelpText(
      "after",
      `
Scripts that unstable.json next to a file lists are left out, and the report says so.

Examples:
  mmun conform hand.jsonl.gz arm64-6.12-hand.jsonl.gz
  mmun conform x86-7.3-random.jsonl.gz --only notifier --show 1
  mmun conform packages/conformance/corpus --brief
  mmun conform mine.jsonl --kernel v6.12 --arch arm64 --json`,
    )
    .action(async (files: readonly string[], flags: ConformFlags) => {
      if (flags.json === true)
        refuse(command, ["brief", "show"], "with --json, which prints the counts. Leave one out");
      if (flags.brief === true) refuse(command, ["show"], "with --brief, which names every script. Leave one out");
      const sets: SetReport[] = [];
      for (const [index, file] of corporaIn(files).entries()) {
        const report = await run(file, flags, context);
        sets.push(report);
        if (flags.json !== true && flags.brief !== true)
          context.print(`${index === 0 ? "" : "\n"}${renderSet(report, context)}`);
      }
      if (flags.brief === true && flags.json !== true) context.print(renderBrief(sets, context));
      if (flags.json === true) context.print(JSON.stringify({ sets: sets.map(summary) }));
      done(sets.some(({ ops, equal }) => equal < ops) ? EXIT_FINDING : EXIT_OK);
    });
}
