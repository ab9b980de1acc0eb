import { type Counterexample, counterexampleOf } from "../counterexample/replay.js";
import type { Exploration, ExploreOptions, Finding } from "../engine/exploration.js";
import { explore } from "../engine/explore.js";
import type { SceneModel } from "../scene/scene.js";
import type { ExpectedVerdict, MuseumEntry, Variant } from "./entry.js";

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
  /** Errors, in the order in which they were met; warnings are left out. */
  readonly found: readonly FoundVerdict[];
}

/** What the checker says about an entry. */
export interface EntryResult {
  readonly entry: MuseumEntry;
  readonly buggy: VariantResult;
  readonly fixed: VariantResult;
  /** Sentences about what is not as the entry says; none when all is well. */
  readonly complaints: readonly string[];
}

/** Explores a scene and notes whether it comes to what it is about. */
function exploreScene(model: SceneModel, options: ExploreOptions = {}): Omit<VariantResult, "variant"> {
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
  return { states, transitions, complete, bounds, reached, found: errorsOf(model, exploration) };
}

/** Puts both variants of an entry to the checker. */
export function runEntry(entry: MuseumEntry): EntryResult {
  const buggy = runVariant(entry, "buggy");
  const fixed = runVariant(entry, "fixed");
  return { entry, buggy, fixed, complaints: [...complaintsOfBuggy(entry, buggy), ...complaintsOfFixed(fixed)] };
}

/** Puts one variant of an entry to the checker. */
function runVariant(entry: MuseumEntry, variant: Variant): VariantResult {
  return { variant, ...exploreScene(entry.model(variant), entry.explore) };
}

function errorsOf(model: SceneModel, { findings }: Exploration): FoundVerdict[] {
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

function complaintsOfFixed({ complete, bounds, found, reached }: VariantResult): string[] {
  const complaints = reached ? [] : ["the fixed variant never comes to what it is about"];
  if (!complete) complaints.push(`the search of the fixed variant is not complete: ${bounds}`);
  for (const { verdict, object } of found) complaints.push(`the fixed variant gives ${verdict} on ${object}`);
  return complaints;
}
