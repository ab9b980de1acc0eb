import { isMarker, type Path, Step, step, waitFor } from "@mmu-notifier/steps";
import type { Iteration, TaskModel } from "../engine/model.js";
import { observed, type Stage } from "./observed.js";
import { AGAIN, type Operation, STOPS, type Watch } from "./operation.js";

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

/** The task of a thread: one iteration is one attempt at one part of an operation. */
export function threadTask(stage: Stage, thread: MachineThread, index: number): TaskModel {
  const { seen, states, watcher } = stage;
  const { name, operations, forever = false, afterOthers = false, cpu } = thread;
  const watch: Watch = (device, mm) => (vpn, leaf, write) => {
    seen.use = { by: index, device, mm, vpn, leaf, write };
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
      returning(text, () => {
        states.returns(index);
        watcher?.returns(index);
      }),
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
