import type { Machine } from "@mmu-notifier/machine";
import { isMarker, type Path, Step, step, waitFor } from "@mmu-notifier/steps";
import type { Iteration, Report, TaskModel } from "../engine/model.js";
import { VerdictError } from "../engine/verdict.js";
import { AGAIN, type Operation, STOPS, type Watch } from "./operation.js";
import type { ThreadStates } from "./thread-states.js";

/**
 * One thread of control of a machine model.
 *
 * @public
 */
export interface MachineThread {
  readonly name: string;
  readonly operations: readonly Operation[];
  /** The CPU or device it runs on, for fairness by CPU. @defaultValue its own */
  readonly cpu?: string;
  /** Begins anew after the last operation, for ever. @defaultValue false */
  readonly forever?: boolean;
  /** Starts when every other thread is at its end. @defaultValue false */
  readonly afterOthers?: boolean;
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

/** A translation in use. */
export interface Use {
  readonly device: string;
  readonly mm: number;
  readonly vpn: number;
  /** What the caches or the walk gave. */
  readonly leaf: number;
  readonly write: boolean;
}

/** What all threads of a model share. */
export interface Stage {
  readonly machine: Machine;
  readonly states: ThreadStates;
  readonly rules: readonly StepRule[];
  readonly seen: Seen;
}

/** What a step leaves for the rules that look at it. */
export interface Seen {
  use: Use | undefined;
  report: Report | undefined;
}

/** The task of a thread: one iteration is one attempt at one part of an operation. */
export function threadTask(stage: Stage, thread: MachineThread, index: number): TaskModel {
  const { seen, states } = stage;
  const { name, operations, forever = false, afterOthers = false, cpu } = thread;
  const watch: Watch = (device, mm) => (vpn, leaf, write) => {
    seen.use = { device, mm, vpn, leaf, write };
  };
  function* iteration(at = 0, part = 0, waits = afterOthers ? 1 : 0): Path<Iteration> {
    if (waits === 1) {
      yield waitFor("all threads are done", () => states.done);
      return [at, part, 0];
    }
    const current = operations[at];
    if (current === undefined) {
      if (forever && operations.length > 0) return [0, 0, 0];
      if (!afterOthers) yield step("done", () => (states.ends(index), 0));
      return null;
    }
    const { changes = false, parts = 1, text } = current;
    const path = observed(stage, name, current.attempt(part, watch));
    const result = yield* changes && part === 0 ? beginning(path, () => states.begins(index)) : path;
    if (result === AGAIN) return [at, part, 0];
    if (result !== STOPS && part + 1 < parts) return [at, part + 1, 0];
    yield* observed(
      stage,
      name,
      returning(text, () => states.returns(index)),
    );
    return [at + 1, 0, 0];
  }
  return { name, start: iteration, ...(cpu === undefined ? {} : { cpu }) };
}

function* returning(text: string, did: () => void): Path<number> {
  return yield step(`${text}: returns`, () => (did(), 0));
}

/** A path whose first step also does `did`. */
function* beginning(path: Path<number>, did: () => void): Path<number> {
  let next = path.next(0);
  let first = true;
  while (next.done !== true) {
    const current = next.value;
    if (!first || isMarker(current)) {
      next = path.next(yield current);
      continue;
    }
    first = false;
    const run = (task: number): number => (did(), current.run(task));
    next = path.next(yield new Step(current.label, run, current.ready, current.effect, current.choices));
  }
  return next.value;
}

/** A path with its steps watched by the rules, and with what drivers throw on the way as its own error. */
export function* observed<R>(stage: Stage, task: string, path: Path<R>): Path<R> {
  let value = 0;
  for (;;) {
    const known = stage.machine.driverErrors.length;
    const next = path.next(value);
    throwNew(stage.machine, known);
    if (next.done === true) return next.value;
    value = yield isMarker(next.value) ? next.value : watched(stage, next.value, task);
  }
}

function throwNew({ driverErrors }: Machine, known: number): void {
  const thrown = driverErrors[known];
  if (thrown !== undefined) throw thrown;
}

function watched({ machine, rules, seen }: Stage, current: Step, task: string): Step {
  const { label } = current;
  const run = (number: number): number => {
    const known = machine.driverErrors.length;
    seen.use = undefined;
    seen.report = undefined;
    for (const rule of rules) rule.before?.();
    const result = current.run(number);
    throwNew(machine, known);
    if (seen.report !== undefined) raise(seen.report);
    for (const rule of rules) {
      if (seen.use !== undefined) raise(rule.used?.(seen.use));
      raise(rule.after?.(task, label, result));
    }
    return result;
  };
  return new Step(label, run, current.ready, current.effect, current.choices);
}

function raise(report: Report | undefined): void {
  if (report !== undefined) throw new VerdictError(report.verdict, report.about, report.what, report.rule);
}
