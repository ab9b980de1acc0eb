import type { Exploration, ExploreOptions, Finding } from "./exploration.js";
import { ModelError } from "./errors.js";
import type { Model } from "./model.js";
import { Graph } from "./graph.js";
import { livelocks } from "../liveness/livelocks.js";
import { reexecute } from "./reexecution.js";
import { Search } from "./search.js";
import { Symmetry } from "./symmetry.js";
import { unfold } from "./unfold.js";
import { Walker } from "./walker.js";

/**
 * Explores every interleaving of a model's tasks, each state once.
 *
 * Deterministic: the same model gives the same numbers and the same counterexamples. Afterwards the model's memory holds its
 * initial state again.
 *
 * States are told apart by the model's memory and the tasks' local states. Code that keeps state elsewhere is found out
 * (HIDDEN-STATE); with {@link ExploreOptions.rebuild} the model is then searched by re-execution.
 *
 * @throws ModelError CHECKER_TOO_MANY_TASKS, CHECKER_TOO_MANY_CHOICES
 * @public
 */
export function explore(model: Model, options: ExploreOptions = {}): Exploration {
  refuseContradictions(model, options);
  const found = searchStates(model, options);
  const hidden = found.findings.filter(({ verdict }) => verdict === "HIDDEN-STATE");
  const endless = found.findings.some(({ error }) => error?.code === "CHECKER_STEP_TIMEOUT");
  if (options.rebuild === undefined || hidden.length === 0 || endless) return found;
  return reexecute(options.rebuild, options, hidden);
}

function searchStates(model: Model, options: ExploreOptions): Exploration {
  const walker = new Walker(model);
  const graph = options.liveness === undefined ? undefined : new Graph();
  const symmetry = options.symmetry === true ? new Symmetry(walker) : undefined;
  const search = new Search(walker, options, graph, symmetry);
  search.run();
  const { store, automata } = walker;
  const states = store.count;
  if (states === 0) return unbegun(model, search);
  const bytes = store.bytes + search.trail.bytes;
  if (options.audit ?? true) search.auditPaths();
  const findings: Finding[] = search.sightings.map(({ state, failing, ...finding }) => ({
    ...finding,
    severity: "error",
    schedule: {
      stem:
        symmetry === undefined
          ? [...search.trail.movesTo(state), ...(failing === undefined ? [] : [failing])]
          : unfold(walker, symmetry, search.trail.statesTo(state), failing),
      cycle: [],
    },
  }));
  if (graph !== undefined) findings.push(...livelocks(walker, graph, search.trail, options.liveness!));
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
    reexecuted: false,
    findings,
    bytesPerState: bytes / states,
    generatorRuns,
    localStates,
  };
}

/** A search that did not come to its first state. */
function unbegun({ name }: Model, { cutOff = "", sightings }: Search): Exploration {
  const schedule = { stem: [], cycle: [] };
  return {
    model: name,
    states: 0,
    transitions: 0,
    depth: 0,
    bounds: cutOff,
    complete: false,
    reexecuted: false,
    findings: sightings.map(({ state: _, failing: __, ...finding }) => ({ ...finding, severity: "error", schedule })),
    bytesPerState: 0,
    generatorRuns: 0,
    localStates: [],
  };
}

/** A reduction keeps what is reachable, not what goes on for ever. */
function refuseContradictions(
  model: Model,
  { liveness, symmetry = false, partialOrder = false }: ExploreOptions,
): void {
  const refuse = (code: string, what: string): never => {
    throw new ModelError(code, `explore(${model.name}): ${what}`, { model: model.name });
  };
  if (liveness !== undefined && symmetry)
    refuse("CHECKER_SYMMETRY_LIVENESS", "symmetry mixes up who is starved; look for livelocks without it");
  if (liveness !== undefined && partialOrder)
    refuse(
      "CHECKER_PARTIAL_ORDER_LIVENESS",
      "partial-order reduction may leave a cycle out; look for livelocks without it",
    );
  if (liveness !== undefined && model.progress === undefined)
    refuse("CHECKER_NO_PROGRESS", "liveness needs Model.progress: which steps are progress");
  if (symmetry && model.symmetry === undefined)
    refuse("CHECKER_NO_SYMMETRY", "symmetry needs Model.symmetry: the renamings that keep the model the same");
}
