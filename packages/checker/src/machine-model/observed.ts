import type { Machine } from "@mmu-notifier/machine";
import { isMarker, type Path, Step } from "@mmu-notifier/steps";
import type { Report } from "../engine/model.js";
import { VerdictError } from "../engine/verdict.js";
import type { ThreadStates } from "./thread-states.js";
import { type Place, PlaceTracker } from "./watch/place.js";

/** A translation in use. */
export interface Use {
  /** Number of the thread. */
  readonly by: number;
  readonly device: string;
  readonly mm: number;
  readonly vpn: number;
  /** What the caches or the walk gave. */
  readonly leaf: number;
  readonly write: boolean;
}

/** Looks at the machine right after a step of anybody, in that step, and says what is wrong; the search goes no further there. */
export interface StepRule {
  /** A step is about to run. */
  readonly before?: () => void;
  /** A device has just used a translation. */
  readonly used?: (use: Use) => Report | undefined;
  /** A step has just run. */
  readonly after?: (task: string, label: string, result: number) => Report | undefined;
}

/** Keeps account of what the tasks do, in the machine's memory. */
export interface Watcher {
  /** Before a step of task number `task`. */
  before(task: number, place: Place): void;
  /** After it; `use` is what a device used in it. */
  after(task: number, place: Place, use: Use | undefined): void;
  /** An operation of the task returns. In that step. */
  returns(task: number): void;
}

/** What all threads of a model share. */
export interface Stage {
  readonly machine: Machine;
  readonly states: ThreadStates;
  readonly rules: readonly StepRule[];
  readonly watcher: Watcher | undefined;
  readonly seen: Seen;
}

/** What a step leaves for those that look at it. */
export interface Seen {
  use: Use | undefined;
  report: Report | undefined;
}

/** A path with its steps watched, and with what drivers throw on the way as its own error. */
export function* observed<R>(stage: Stage, task: string, path: Path<R>): Path<R> {
  const { driverErrors } = stage.machine;
  const places = new PlaceTracker(stage.machine);
  let value = 0;
  for (;;) {
    const known = driverErrors.length;
    const next = path.next(value);
    throwNew(stage.machine, known);
    if (next.done === true) return next.value;
    if (isMarker(next.value)) {
      places.marker(next.value);
      value = yield next.value;
    } else value = yield watched(stage, next.value, task, places.step());
  }
}

function throwNew({ driverErrors }: Machine, known: number): void {
  const thrown = driverErrors[known];
  if (thrown !== undefined) throw thrown;
}

function watched({ machine, rules, seen, watcher }: Stage, current: Step, task: string, place: Place): Step {
  const { label } = current;
  const run = (number: number): number => {
    const known = machine.driverErrors.length;
    seen.use = undefined;
    seen.report = undefined;
    for (const rule of rules) rule.before?.();
    watcher?.before(number, place);
    const result = current.run(number);
    throwNew(machine, known);
    if (seen.report !== undefined) raise(seen.report);
    for (const rule of rules) {
      if (seen.use !== undefined) raise(rule.used?.(seen.use));
      raise(rule.after?.(task, label, result));
    }
    watcher?.after(number, place, seen.use);
    return result;
  };
  return new Step(label, run, current.ready, current.effect, current.choices);
}

function raise(report: Report | undefined): void {
  if (report !== undefined) throw new VerdictError(report.verdict, report.about, report.what, report.rule);
}
