import { type Counterexample, counterexampleOf } from "../counterexample/replay.js";
import type { Exploration, ExploreOptions, Finding } from "../engine/exploration.js";
import { explore } from "../engine/explore.js";
import type { SceneModel } from "../scene/scene.js";
import type { Verdict } from "../engine/verdict.js";
import type { ExpectedVerdict, MuseumControl, MuseumEntry, Variant } from "./entry.js";

/** A verdict that was found, with the shortest way to it. */
export interface FoundVerdict extends ExpectedVerdict {
  readonly what: string;
  readonly counterexample: Counterexample;
}

/** What the checker says about one variant. */
export interface VariantResult {
  readonly variant: Variant;
  readonly states: number;
  readonly transitions: number;
  readonly complete: boolean;
  readonly bounds: string;
  /** The situation that the scenario is about came up. */
  readonly reached: boolean;
  /** Errors, in the order in which they were met. */
  readonly found: readonly FoundVerdict[];
  /** What is slow or inexact, and right: COST, LOST-YOUNG. */
  readonly warnings: readonly FoundVerdict[];
}

/** What the checker says about an entry. */
export interface EntryResult {
  readonly entry: MuseumEntry;
  readonly buggy: VariantResult;
  readonly fixed: VariantResult;
  /** Sentences about what is not as the entry says; none when all is well. */
  readonly complaints: readonly string[];
}

/** What the checker says about a control, form by form. */
export interface ControlResult {
  readonly control: MuseumControl;
  readonly models: readonly Omit<VariantResult, "variant">[];
  /** Sentences about what is not as it must be; none when all is well. */
  readonly complaints: readonly string[];
}

const WARNINGS: ReadonlySet<Verdict> = new Set<Verdict>(["COST", "LOST-YOUNG"]);

/** Explores a scene and notes whether it comes to what it is about. */
export function exploreScene(model: SceneModel, options: ExploreOptions = {}): Omit<VariantResult, "variant"> {
  let reached = model.reached === undefined;
  const watched: SceneModel = {
    ...model,
    invariants: [
      ...(model.invariants ?? []),
      {
        name: "reached",
        holds() {
          reached ||= model.reached!();
          return true;
        },
      },
    ],
  };
  const exploration = explore(model.reached === undefined ? model : watched, options);
  const { states, transitions, complete, bounds } = exploration;
  const all = verdictsOf(model, exploration);
  const found = all.filter(({ verdict }) => !WARNINGS.has(verdict));
  const warnings = all.filter(({ verdict }) => WARNINGS.has(verdict));
  return { states, transitions, complete, bounds, reached, found, warnings };
}

/** Puts both variants of an entry to the checker. */
export function runEntry(entry: MuseumEntry): EntryResult {
  const buggy = runVariant(entry, "buggy");
  const fixed = runVariant(entry, "fixed");
  return {
    entry,
    buggy,
    fixed,
    complaints: [...complaintsOfBuggy(entry, buggy), ...complaintsOfClean("the fixed variant", fixed)],
  };
}

/** Puts a control to the checker. */
export function runControl(control: MuseumControl): ControlResult {
  const { warns = [] } = control;
  const models = control.models.map((model) => exploreScene(model(), control.explore));
  const given = new Set(models.flatMap(({ warnings }) => warnings.map(({ verdict }) => verdict)));
  const complaints = models.flatMap((result) => complaintsOfClean("the control", result));
  for (const verdict of warns) if (!given.has(verdict)) complaints.push(`the control does not warn of ${verdict}`);
  for (const verdict of given) if (!warns.includes(verdict)) complaints.push(`the control warns of ${verdict}`);
  return { control, models, complaints };
}

/** Puts one variant of an entry to the checker. */
function runVariant(entry: MuseumEntry, variant: Variant): VariantResult {
  return { variant, ...exploreScene(entry.model(variant), entry.explore) };
}

function verdictsOf(model: SceneModel, { findings }: Exploration): FoundVerdict[] {
  const found: FoundVerdict[] = [];
  for (const finding of findings) {
    const known = found.some(({ verdict, object }) => verdict === finding.verdict && object === finding.about);
    if (finding.severity === "error" && !known) found.push(foundVerdict(model, finding));
  }
  return found;
}

function foundVerdict(model: SceneModel, finding: Finding): FoundVerdict {
  const { verdict, about, what, schedule } = finding;
  return {
    verdict,
    object: about,
    steps: schedule.stem.length + schedule.cycle.length,
    what,
    counterexample: counterexampleOf(model, finding),
  };
}

function complaintsOfBuggy({ expect }: MuseumEntry, { found, reached }: VariantResult): string[] {
  const complaints = reached ? [] : ["the buggy variant never comes to what it is about"];
  for (const { verdict, object, steps } of expect) {
    const it = found.find((f) => f.verdict === verdict && f.object === object);
    if (it === undefined) complaints.push(`the buggy variant does not give ${verdict} on ${object}`);
    else if (it.steps !== steps)
      complaints.push(`${verdict} on ${object} takes ${it.steps} steps where ${steps} are recorded`);
  }
  for (const { verdict, object } of found) {
    if (!expect.some((e) => e.verdict === verdict && e.object === object))
      complaints.push(`the buggy variant gives ${verdict} on ${object}, which nobody expects`);
  }
  return complaints;
}

function complaintsOfClean(
  what: string,
  { complete, bounds, found, reached }: Omit<VariantResult, "variant">,
): string[] {
  const complaints = reached ? [] : [`${what} never comes to what it is about`];
  if (!complete) complaints.push(`the search of ${what} is not complete: ${bounds}`);
  for (const { verdict, object } of found) complaints.push(`${what} gives ${verdict} on ${object}`);
  return complaints;
}
