import { controls, museum, type MuseumEntry, runControl, runEntry } from "@mmu-notifier/checker";
import { didYouMean } from "@mmu-notifier/steps";
import type { Command } from "commander";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { refuse } from "../option-clash.js";
import {
  catalogue,
  closingLine,
  controlExplanation,
  entryExplanation,
  resultTables,
  type Timed,
} from "../output/museum.js";

interface MuseumFlags {
  readonly all?: boolean;
  readonly list?: boolean;
  readonly json?: boolean;
}

function run(id: string): Timed {
  const entry = museum.find((it) => it.id === id || it.number.toLowerCase() === id.toLowerCase());
  const control = controls.find((it) => it.id === id);
  const before = performance.now();
  if (entry !== undefined) return { entry: runEntry(entry), milliseconds: performance.now() - before };
  if (control !== undefined) return { control: runControl(control), milliseconds: performance.now() - before };
  const ids = [...museum, ...controls].map((it) => it.id);
  throw new UsageError(`the museum has no ${JSON.stringify(id)}.${didYouMean(id, ids)} mmun museum lists what it has`, {
    id,
  });
}

function complaintsOf(result: Timed): readonly string[] {
  return "entry" in result ? result.entry.complaints : result.control.complaints;
}

/** An entry for a program, without what was found. */
function described(entry: MuseumEntry): object {
  // What is a function is left out of JSON.
  return { ...entry, explore: undefined, fairness: entry.explore?.liveness };
}

/** The catalogue for a program. */
function plainCatalogue(): object {
  return {
    entries: museum.map(described),
    controls: controls.map(({ id, about, warns = [] }) => ({ id, about, warns })),
  };
}

/** Results for a program, counterexamples step by step. */
function plainResults(results: readonly Timed[]): object {
  const told = (result: Timed): object => ({
    ok: complaintsOf(result).length === 0,
    complaints: complaintsOf(result),
    milliseconds: Math.round(result.milliseconds),
  });
  return {
    entries: results.flatMap((result) => {
      if (!("entry" in result)) return [];
      const { entry, buggy, fixed } = result.entry;
      return [{ ...described(entry), ...told(result), buggy, fixed }];
    }),
    controls: results.flatMap((result) =>
      "control" in result ? [{ id: result.control.control.id, ...told(result), models: result.control.models }] : [],
    ),
  };
}

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument("[id...]", "bugs by name or number, or controls by name: explained and run")
    .option("--all", "explain everything, controls included, as if all were named")
    .option("--list", "list what there is and run nothing")
    .option("--json", "print JSON; counterexamples step by step where something is run")
    .addHelpText(
      "after",
      `
Without arguments everything is run, a line each. Exit code 1: something does not say what it must.

Examples:
  mmun museum
  mmun museum kvm-no-retry-check
  mmun museum A1 F1
  mmun museum --list`,
    )
    .action((ids: readonly string[], { all = false, list = false, json = false }: MuseumFlags) => {
      if ((all || list) && ids.length > 0)
        throw new UsageError(`--${all ? "all" : "list"} is about everything; leave it out to run what is named`, {
          ids: ids.join(" "),
        });
      if (list) refuse(command, ["all"], "with --list, which runs nothing. Leave one out");
      if (list) {
        context.print(json ? JSON.stringify(plainCatalogue()) : catalogue(museum, controls, context));
        done(EXIT_OK);
        return;
      }
      const results = (ids.length > 0 ? ids : [...museum, ...controls].map(({ id }) => id)).map((id) => run(id));
      if (json) context.print(JSON.stringify(plainResults(results)));
      else if (ids.length === 0 && !all) context.print(`${resultTables(results, context)}\n\n${closingLine(results)}`);
      else {
        const texts = results.map((result) =>
          "entry" in result ? entryExplanation(result.entry, context) : controlExplanation(result.control, context),
        );
        context.print(texts.join("\n\n"));
      }
      done(results.every((result) => complaintsOf(result).length === 0) ? EXIT_OK : EXIT_FINDING);
    });
}
