import type { Script, ScriptSession } from "@mmu-notifier/script";
import { withinTime } from "../engine/within-time.js";
import { type Counterexample, counterexampleOf, replay } from "../counterexample/replay.js";
import type { Exploration, ExploreOptions } from "../engine/exploration.js";
import { explore } from "../engine/explore.js";
import { type Problem, type ScriptModel, scriptModel, type ScriptModelOptions } from "../machine-model/script-model.js";

/** How a script is checked. */
export interface ScriptCheck extends ScriptModelOptions {
  readonly explore?: ExploreOptions;
  /** A schedule to run again instead of a search. */
  readonly replay?: string;
  /** Looks at the machine before the search: why it says nothing about this host, or undefined. */
  readonly skips?: (session: ScriptSession) => string | undefined;
}

/** What came of it. */
export interface ScriptResult {
  /** Why nothing was searched. */
  readonly skipped?: string;
  readonly exploration?: Exploration;
  readonly problems?: readonly Problem[];
  /** The shortest way to each finding, or the schedule that was run again. */
  readonly counterexamples?: readonly Counterexample[];
  /** Kernel and architecture that it ran on. */
  readonly kernel?: string;
  readonly arch?: string;
}

/** Milliseconds of a step where none are given, and the times of a step within which a machine is put together, its prelude included. */
const STEP_TIME = 5000;
const SET_UP_STEPS = 4;

/**
 * Explores a script's threads: every interleaving, with the shortest way to everything that goes wrong.
 *
 * @throws ScriptError, MachineError for what cannot be built, ModelError CHECKER_REPLAY for a schedule of something else
 */
export function checkScript(script: Script, options: ScriptCheck = {}): ScriptResult {
  const { explore: bounds = {}, replay: schedule, skips, ...given } = options;
  const { stepTimeout } = bounds;
  const limit = SET_UP_STEPS * (stepTimeout ?? STEP_TIME);
  const build = (): ScriptModel => scriptModel(script, given);
  let built: ScriptModel | undefined;
  if (!withinTime(() => (built = build()), limit)) {
    const about = script.devices.map(({ driver }) => driver).join(", ") || "the script";
    const what = `attaching the devices or the ops before the threads did not end within ${limit} ms: code of ${about} loops for ever`;
    return { problems: [{ verdict: "HANG", about, what }] };
  }
  const { model, session, problems } = built!;
  try {
    const { profile, arch } = session.machine.kernel;
    const on = { kernel: profile.name, arch: arch.name };
    const skipped = skips?.(session);
    if (skipped !== undefined) return { skipped, ...on };
    if (schedule !== undefined) return { problems, counterexamples: [replay(model, schedule, stepTimeout)], ...on };
    const exploration = explore(model, { liveness: "task", ...bounds, rebuild: () => build().model });
    // What a driver keeps for itself is as the search left it: such a model is shown from the start.
    const counterexamples = exploration.findings.map((finding) =>
      counterexampleOf(exploration.reexecuted ? build().model : model, finding, stepTimeout),
    );
    return { exploration, problems, counterexamples, ...on };
  } finally {
    session.close();
  }
}
