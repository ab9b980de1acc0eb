import { MmuNotifierError } from "@mmu-notifier/steps";
import { withinTime } from "../engine/within-time.js";
import type { Finding, Schedule } from "../engine/exploration.js";
import type { Model, Stale } from "../engine/model.js";
import { type Move, taskOf } from "../engine/move.js";
import { Walker } from "../engine/walker.js";
import { broken, scheduleFromString, scheduleToString } from "./schedule-string.js";
import { type Change, changesBetween, snapshot } from "./snapshot.js";

/**
 * One step of an interleaving.
 *
 * @public
 */
export interface ReplayedStep {
  /** Number from 1. */
  readonly number: number;
  readonly task: string;
  readonly label: string;
  /** The kernel functions it is in, outermost first. */
  readonly functions: readonly string[];
  /** What the step returned; undefined when it threw. */
  readonly result: number | undefined;
  readonly changes: readonly Change[];
  /** What the state after it looks like, if the model can say; see {@link Model.view}. */
  readonly view?: readonly string[];
  /** Tasks that could not move before this step and can after it. */
  readonly wakes: readonly string[];
}

/**
 * An interleaving, step by step: plain data, so it is its own JSON form.
 *
 * @public
 */
export interface Counterexample {
  readonly model: string;
  readonly tasks: readonly string[];
  readonly steps: readonly ReplayedStep[];
  /** What the initial state looks like, if the model can say. */
  readonly view?: readonly string[];
  /** Number of the first step of the part that repeats for ever; undefined when it just ends. */
  readonly cycleFrom: number | undefined;
  /** A cache that is out of date at the end, if the model can say; see {@link Model.stale}. */
  readonly stale?: Stale;
  /** What the last step threw. */
  readonly error: string | undefined;
  /** The line that {@link replay} takes. */
  readonly replay: string;
}

/** The counterexample of a finding of `explore(model)`. */
export function counterexampleOf(model: Model, { schedule }: Finding, stepTimeout?: number): Counterexample {
  return replay(model, schedule, stepTimeout);
}

/**
 * Runs a schedule again, from the model's initial state.
 *
 * @param stepTimeout milliseconds after which a step that does not end is given up. Default: no limit
 * @throws ModelError CHECKER_REPLAY when the schedule does not fit the model.
 * @public
 */
export function replay(model: Model, schedule: Schedule | string, stepTimeout?: number): Counterexample {
  const { stem, cycle } = typeof schedule === "string" ? scheduleFromString(model, schedule) : schedule;
  const walker = new Walker(model);
  const steps: ReplayedStep[] = [];
  const moves = [...stem, ...cycle];
  let view: readonly string[] | undefined;
  let error: string | undefined;
  let cycleState = -1;
  const begin = (): void => {
    walker.begin();
    view = model.view?.();
  };
  const limited = (work: () => void): boolean => {
    const ended = withinTime(work, stepTimeout);
    if (!ended) error = `this did not end within ${stepTimeout} ms`;
    return ended;
  };
  if (limited(begin)) {
    for (const [i, m] of moves.entries()) {
      if (i === stem.length) cycleState = walker.store.commit();
      if (error !== undefined) throw broken(model, `step ${i} threw or did not end, and the schedule goes on`);
      const pending = pendingStep(walker, m, i + 1);
      let taken: Taken | undefined;
      limited(() => (taken = take(walker, m, pending)));
      error ??= taken?.error;
      steps.push(taken?.step ?? pending.step);
    }
  }
  if (error === undefined && cycle.length > 0 && walker.store.commit() !== cycleState)
    throw broken(model, "the part in parentheses does not lead back to its beginning");
  const stale = error === undefined ? model.stale?.() : undefined;
  walker.store.spoil();
  if (walker.store.count > 0) walker.store.load(0);
  return {
    model: model.name,
    tasks: model.tasks.map(({ name }) => name),
    steps,
    ...(view === undefined ? {} : { view }),
    ...(stale === undefined ? {} : { stale }),
    cycleFrom: cycle.length === 0 ? undefined : stem.length + 1,
    error,
    replay: scheduleToString(model, { stem, cycle }),
  };
}

interface Taken {
  readonly step: ReplayedStep;
  readonly error: string | undefined;
}

/** A step that is about to be taken, and who could move then. */
interface Pending {
  readonly step: ReplayedStep;
  readonly couldMove: ReadonlySet<number>;
}

function pendingStep(walker: Walker, m: Move, number: number): Pending {
  const { model } = walker;
  const t = taskOf(m);
  const name = model.tasks[t]?.name ?? `task ${t}`;
  const possible = walker.moves();
  if (!possible.includes(m))
    throw broken(
      model,
      `step ${number}: ${name} can not move (possible: ${[...new Set(possible.map((p) => model.tasks[taskOf(p)]!.name))].join(", ") || "nobody"})`,
    );
  const { functions, step } = walker.nodeOf(t);
  const { wording = (label) => label } = model;
  return {
    step: { number, task: name, label: wording(step!.label), functions, result: undefined, changes: [], wakes: [] },
    couldMove: new Set(possible.map((p) => taskOf(p))),
  };
}

function take(walker: Walker, m: Move, { couldMove, step }: Pending): Taken {
  const { model } = walker;
  const t = taskOf(m);
  const before = snapshot(model.state);
  let result: number | undefined;
  let error: string | undefined;
  try {
    ({ result } = walker.take(m));
  } catch (thrown) {
    if (!(thrown instanceof MmuNotifierError)) throw thrown;
    error = thrown.message;
  }
  const canMove = error === undefined ? walker.moves().map((p) => taskOf(p)) : [];
  const wakes = [...new Set(canMove)]
    .filter((other) => other !== t && !couldMove.has(other))
    .map((other) => model.tasks[other]!.name);
  const changes = changesBetween(before, snapshot(model.state));
  const view = model.view?.();
  return { step: { ...step, result, changes, ...(view === undefined ? {} : { view }), wakes }, error };
}
