import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { KernelConfig } from "@mmu-notifier/core";
import type { PluginRegistry } from "@mmu-notifier/machine";
import { type CorpusCase, originOf, readCorpus, type SetOrigin } from "./corpus.js";
import { checkRecords } from "./check-records.js";
import type { Divergence, Outcome } from "./divergence.js";
import { CorpusError } from "./errors.js";
import { FieldCounts } from "./field-diff.js";
import { Hosts } from "./hosts.js";
import { LeftOut } from "./left-out.js";
import { runMmrun } from "./mmrun/run-mmrun.js";
import { runProbes } from "./mmrun/write-bits.js";
import { runQemu } from "./qemu/run-qemu.js";
import type { CaseContext } from "./run-options.js";

/** How a set of recorded scripts compares with the model. */
export interface SetReport extends SetOrigin {
  readonly ops: number;
  /** Operations that are equal in every field. */
  readonly equal: number;
  readonly fields: Readonly<Record<string, { readonly compared: number; readonly equal: number }>>;
  /** All fields that were compared, also those that {@link ConformOptions.only} leaves aside. */
  readonly known: SetReport["fields"];
  readonly scripts: number;
  readonly divergences: readonly Divergence[];
  /** What was not compared because the recording calls it indeterminate, and how often. */
  readonly leftOut: Readonly<Record<string, number>>;
}

export interface ConformOptions {
  /** Wins over what the file's name says. */
  readonly kernel?: string;
  readonly arch?: string;
  readonly config?: Partial<KernelConfig>;
  readonly registry?: PluginRegistry;
  /**
   * Scripts to leave out: those that differ from run to run on the recording machine. By default what `unstable.json` next to the
   * file lists.
   */
  readonly unstable?: ReadonlySet<string>;
  /** Only this field counts: the others are neither counted nor differences. */
  readonly only?: string;
  /** Only scripts with this name. */
  readonly script?: string;
  /** Divergences that are kept in the report; all are counted. */
  readonly keep?: number;
  /** Kept divergences carry what happened inside the operation. */
  readonly detail?: boolean;
  /** Called after every script with the operations so far. */
  readonly onScript?: (ops: number) => void;
}

/**
 * Runs every script of a corpus file on the model and compares field by field.
 *
 * @throws CorpusError CORPUS_FORMAT, and MachineError for a kernel or architecture that is not known
 */
export async function conform(file: string, options: ConformOptions = {}): Promise<SetReport> {
  const origin = originOf(file);
  const { kernel = origin.kernel, arch = origin.arch, keep = Infinity, config, registry } = options;
  const unstable = options.unstable ?? unstableScripts(file, origin.name);
  const counts = new FieldCounts();
  const leftOut = new LeftOut();
  const hosts = new Hosts();
  const context: CaseContext = {
    kernel,
    arch,
    hosts,
    counts,
    leftOut,
    detail: options.detail === true,
    ...(config === undefined ? {} : { config }),
    ...(registry === undefined ? {} : { registry }),
  };
  const divergences: Divergence[] = [];
  let ops = 0;
  let equal = 0;
  let scripts = 0;
  try {
    for await (const recorded of readCorpus(file)) {
      if (options.script !== undefined && options.script !== recorded.name) continue;
      if (unstable.has(recorded.name)) {
        leftOut.add("scripts that differ from run to run on the recording machine");
        continue;
      }
      scripts++;
      for (const found of checkedOutcomes(file, recorded, context)) {
        const outcome = options.only === undefined ? found : onlyField(found, options.only);
        ops++;
        if (outcome === undefined) equal++;
        else if (divergences.length < keep) divergences.push(outcome);
      }
      options.onScript?.(ops);
    }
  } finally {
    hosts.close();
  }
  const known = counts.fields;
  const fields =
    options.only === undefined
      ? known
      : Object.fromEntries(Object.entries(known).filter(([name]) => name === options.only));
  return { name: origin.name, kernel, arch, ops, equal, fields, known, scripts, divergences, leftOut: leftOut.counts };
}

/** What is left of a divergence when only one field counts. */
function onlyField(outcome: Outcome, field: string): Outcome {
  if (outcome === undefined || outcome.error !== undefined) return outcome;
  const diffs = outcome.diffs.filter((diff) => diff.field === field);
  return diffs.length === 0 ? undefined : { ...outcome, diffs };
}

/** The outcomes of a case, whose records are checked as soon as one of them makes a difference or cannot be run. */
function* checkedOutcomes(file: string, recorded: CorpusCase, context: CaseContext): Generator<Outcome> {
  let checked = false;
  try {
    for (const outcome of outcomesOf(recorded, context)) {
      if (outcome !== undefined && !checked) {
        checkRecords(file, recorded);
        checked = true;
      }
      yield outcome;
    }
  } catch (error) {
    checkRecords(file, recorded);
    throw error;
  }
}

function outcomesOf(recorded: CorpusCase, context: CaseContext): Iterable<Outcome> {
  switch (recorded.dialect) {
    case "mmrun":
      return runMmrun(recorded, context);
    case "qemu":
      return runQemu(recorded, context);
    case "write-bits":
      return runProbes(recorded, context);
  }
}

/** The scripts of a set that `unstable.json` next to its file lists. */
export function unstableScripts(file: string, set: string): ReadonlySet<string> {
  const list = join(dirname(file), "unstable.json");
  if (!existsSync(list)) return new Set();
  let sets: unknown;
  try {
    sets = JSON.parse(readFileSync(list, "utf8"));
  } catch (error) {
    throw new CorpusError(list, 1, "expected a JSON object of lists of script names", error);
  }
  const names = (sets as Readonly<Record<string, unknown>>)[set.replace(/\.W$/, "")];
  return new Set(Array.isArray(names) ? names.filter((name) => typeof name === "string") : []);
}
