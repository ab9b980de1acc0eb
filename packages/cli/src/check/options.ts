import { type ExploreOptions, scenarios } from "@mmu-notifier/checker";
import { existsSync } from "node:fs";
import { MachineError, type PluginRegistry } from "@mmu-notifier/machine";
import { didYouMean } from "@mmu-notifier/steps";
import { UsageError } from "../errors.js";
import { resolveDriver, shippedRegistry } from "../registry.js";
import { parseDriver, stepTimeOf } from "../run-scripts.js";
import { type Form, FORMS } from "./render.js";

/** Options of `mmun check`. */
export interface CheckFlags {
  readonly kernel?: string;
  readonly arch?: string;
  readonly scenarios?: string;
  readonly basic?: boolean;
  readonly patch?: boolean;
  readonly fair: string;
  readonly bound: string;
  readonly stepTime: string;
  readonly replay?: string;
  readonly export?: string;
  readonly driver: readonly string[];
  readonly script?: string;
  readonly json?: boolean;
}

/** How far the searches go. */
export function boundsOf({ fair, bound, stepTime }: CheckFlags): ExploreOptions {
  if (fair !== "task" && fair !== "cpu") throw new UsageError(`--fair ${fair}: expected task or cpu`, { fair });
  const maxStates = Number(bound);
  if (!Number.isInteger(maxStates) || maxStates < 1)
    throw new UsageError(`--bound ${bound}: expected a number of states, 1 or more`, { bound });
  return { liveness: fair, maxStates, stepTimeout: stepTimeOf({ stepTime }) };
}

/** The form that counterexamples are asked for in. */
export function formOf({ export: form }: CheckFlags): Form | undefined {
  if (form === undefined) return undefined;
  if (FORMS.includes(form as Form)) return form as Form;
  throw new UsageError(`--export ${form}: expected ${FORMS.join(", ")}`, { export: form });
}

/** What is named in `--scenarios`, out of what there is. */
export function named<T extends { readonly id: string }>(text: string, all: readonly T[], what: string): readonly T[] {
  return text.split(",").map((name) => {
    const found = all.find(({ id }) => id.toLowerCase() === name.trim().toLowerCase());
    if (found !== undefined) return found;
    const ids = all.map(({ id }) => id);
    throw new UsageError(
      `--scenarios ${name}: there is no such ${what}.${didYouMean(name, ids)} There are ${ids.join(", ")}`,
      { scenarios: name },
    );
  });
}

/** The scenarios that a driver is put through. */
export function chosen({ scenarios: names, basic = false }: CheckFlags): typeof scenarios {
  if (names === undefined) return basic ? scenarios.filter(({ variant = false }) => !variant) : scenarios;
  return named(names, scenarios, "scenario");
}

/** A driver as somebody typed it, found. */
export interface Subject {
  readonly registry: PluginRegistry;
  readonly driver: string;
  readonly options: Readonly<Record<string, string | number | boolean>>;
}

export async function subject(written: string): Promise<Subject> {
  const registry = await shippedRegistry();
  const { driver, options } = parseDriver(written);
  try {
    return { registry, driver: await resolveDriver(registry, driver, process.cwd()), options };
  } catch (error) {
    if (!(error instanceof MachineError && error.code === "PLUGIN_UNKNOWN" && existsSync(driver))) throw error;
    throw new UsageError(
      `${driver} is neither a driver nor a script: the name of a script ends in .mm, that of a driver's file in .js or .ts. \`mmun check - < ${driver}\` takes it for a script, ./${driver} for a driver`,
      { target: driver },
    );
  }
}

/** The two parts of a replay string: whose it is, and the schedule. */
export function replayParts(text: string): readonly [id: string, schedule: string] {
  const match = /^([^/]*)\/(.*)$/s.exec(text);
  if (match !== null) return [match[1]!, match[2]!];
  throw new UsageError(
    `--replay ${text}: expected NAME/SCHEDULE as the line "again:" below a counterexample has it, for instance X2/a683:A*21(A*18)`,
    { replay: text },
  );
}
