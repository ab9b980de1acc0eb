import type { Exploration, ExploreOptions, Finding } from "./exploration.js";
import type { Model } from "./model.js";
import { Search } from "./search.js";
import { Walker } from "./walker.js";

/**
 * Explores every interleaving of a model's tasks, each state once.
 *
 * Deterministic: the same model gives the same numbers and the same counterexamples. Afterwards the model's memory holds its
 * initial state again.
 *
 * @throws ModelError CHECKER_TOO_MANY_TASKS, CHECKER_TOO_MANY_CHOICES
 * @public
 */
export function explore(model: Model, options: ExploreOptions = {}): Exploration {
  const walker = new Walker(model);
  const search = new Search(walker, options);
  search.run();
  const { store, automata } = walker;
  const states = store.count;
  const bytes = store.bytes + search.trail.bytes;
  const findings: Finding[] = search.sightings.map(({ state, failing, ...finding }) => ({
    ...finding,
    severity: "error",
    schedule: { stem: [...search.trail.movesTo(state), ...(failing === undefined ? [] : [failing])], cycle: [] },
  }));
  const localStates = automata.map(({ nodes }) => nodes.length);
  const generatorRuns = automata.reduce((sum, { runs }) => sum + runs, 0);
  store.spoil();
  store.load(0);
  return {
    model: model.name,
    states,
    transitions: search.transitions,
    depth: search.depth,
    bounds: search.cutOff ?? "complete",
    complete: search.cutOff === undefined,
    findings,
    bytesPerState: bytes / states,
    generatorRuns,
    localStates,
  };
}
