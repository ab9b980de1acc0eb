import { type EntryResult, museum, type MuseumEntry, runEntry } from "@mmu-notifier/checker";
import { didYouMean } from "@mmu-notifier/steps";
import type { Command } from "commander";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { catalogue, explanation, resultLines, type TimedResult, timesLine } from "../output/museum.js";
import { progress } from "../output/progress.js";

interface MuseumFlags {
  readonly all?: boolean;
  readonly json?: boolean;
}

function entryOf(written: string): MuseumEntry {
  const found = museum.find(({ id, number }) => id === written || number.toLowerCase() === written.toLowerCase());
  if (found !== undefined) return found;
  const ids = museum.map(({ id }) => id);
  throw new UsageError(
    `the museum has no ${JSON.stringify(written)}.${didYouMean(written, ids)} mmun museum lists it`,
    {
      entry: written,
    },
  );
}

function timed(entry: MuseumEntry): TimedResult {
  const before = performance.now();
  const result = runEntry(entry);
  return { ...result, milliseconds: performance.now() - before };
}

/** What a program wants to know of an entry; without a result if it was not run. */
function plain(entry: MuseumEntry, result?: TimedResult): object {
  const { id, number, year, title, source, swaps, expect } = entry;
  const described = { id, number, year, title, source, class: entry.class, swaps, expect };
  if (result === undefined) return described;
  const { buggy, fixed, complaints, milliseconds } = result;
  return {
    ...described,
    ok: complaints.length === 0,
    complaints,
    milliseconds: Math.round(milliseconds),
    buggy,
    fixed,
  };
}

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument("[id...]", "entries by name or number: explained and run")
    .option("--all", "run the whole museum")
    .option("--json", "print JSON; counterexamples step by step where entries are run")
    .addHelpText(
      "after",
      `
Without arguments the catalogue is listed and nothing is run. Exit code 1: an entry does not say what it must.

Examples:
  mmun museum
  mmun museum kvm-no-retry-check
  mmun museum A1 F1
  mmun museum --all`,
    )
    .action((ids: readonly string[], { all = false, json = false }: MuseumFlags) => {
      if (all && ids.length > 0)
        throw new UsageError("--all runs the whole museum; leave it out to run the entries named", {
          ids: ids.join(" "),
        });
      const entries = all ? museum : ids.map((id) => entryOf(id));
      if (entries.length === 0) {
        context.print(
          json ? JSON.stringify({ entries: museum.map((entry) => plain(entry)) }) : catalogue(museum, context),
        );
        done(EXIT_OK);
        return;
      }
      const bar = progress(context, entries.length, !json);
      const results: TimedResult[] = [];
      for (const entry of entries) {
        results.push(timed(entry));
        bar.step();
        if (!all && !json) context.print(explanation(results.at(-1)!, context));
      }
      bar.stop();
      if (json) context.print(JSON.stringify({ entries: results.map((result) => plain(result.entry, result)) }));
      else if (all) context.print(`${resultLines(results, context)}\n${timesLine(results)}`);
      done(results.every(isRight) ? EXIT_OK : EXIT_FINDING);
    });
}

function isRight({ complaints }: EntryResult): boolean {
  return complaints.length === 0;
}
