import type { Machine } from "@mmu-notifier/machine";
import type { UseWatcher } from "@mmu-notifier/sdk";
import { isMarker, type Path, Step, step, waitFor } from "@mmu-notifier/steps";
import type { Iteration, TaskModel } from "../engine/model.js";
import { AGAIN, type Operation, STOPS } from "./operation.js";
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

/** Looks at the machine right after a step of anybody, in that step; throws a violation. */
export interface StepRule {
  /** A device has just used a translation. */
  readonly used?: (use: Use, task: string) => void;
  /** A step has just run. */
  readonly after?: (task: string, label: string, result: number) => void;
}

/** A translation in use. */
export interface Use {
  readonly thread: string;
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
}

/** What a step leaves for the rules that look at it. */
interface Seen {
  use: Use | undefined;
}

/** The task of a thread: one iteration is one attempt at one part of an operation. */
export function threadTask(stage: Stage, thread: MachineThread, index: number): TaskModel {
  const { states } = stage;
  const { name, operations, forever = false, afterOthers = false, cpu } = thread;
  const seen: Seen = { use: undefined };
  const watch: UseWatcher = (vpn, leaf, write) => {
    seen.use = { thread: name, vpn, leaf, write };
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
    const path = observed(stage, seen, name, current.attempt(part, watch));
    const result = yield* changes && part === 0 ? beginning(path, () => states.begins(index)) : path;
    if (result === AGAIN) return [at, part, 0];
    if (result !== STOPS && part + 1 < parts) return [at, part + 1, 0];
    yield* observed(
      stage,
      seen,
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
export function* observed<R>(stage: Stage, seen: Seen, task: string, path: Path<R>): Path<R> {
  let value = 0;
  for (;;) {
    const known = stage.machine.driverErrors.length;
    const next = path.next(value);
    throwNew(stage.machine, known);
    if (next.done === true) return next.value;
    value = yield isMarker(next.value) ? next.value : watched(stage, next.value, seen, task);
  }
}

function throwNew({ driverErrors }: Machine, known: number): void {
  const thrown = driverErrors[known];
  if (thrown !== undefined) throw thrown;
}

function watched({ machine, rules }: Stage, current: Step, seen: Seen, task: string): Step {
  const { label } = current;
  const run = (number: number): number => {
    const known = machine.driverErrors.length;
    seen.use = undefined;
    const result = current.run(number);
    throwNew(machine, known);
    for (const rule of rules) {
      if (seen.use !== undefined) rule.used?.(seen.use, task);
      rule.after?.(task, label, result);
    }
    return result;
  };
  return new Step(label, run, current.ready, current.effect, current.choices);
}
