import type { Machine } from "@mmu-notifier/machine";
import type { Path } from "@mmu-notifier/steps";
import type { Iteration, Invariant, Model, TaskModel } from "../engine/model.js";
import { type MachineThread, observed, type Stage, type StepRule, threadTask } from "./thread-task.js";
import { ThreadStates } from "./thread-states.js";

/**
 * What to make a model of: a machine in the state in which the search starts, and what happens in it at the same time.
 *
 * @public
 */
export interface MachineModelOptions {
  readonly name: string;
  /** Kernel, architecture, processes, devices; everything that comes before has been run on it. */
  readonly machine: Machine;
  readonly threads: readonly MachineThread[];
  /** Rules for every state. */
  readonly invariants?: readonly Invariant[];
  /** Rules for steps, made for this machine; `states` says which threads are inside an operation. */
  readonly rules?: (states: ThreadStates) => readonly StepRule[];
}

/** Labels of the steps in which an access of a device, or of a CPU, reaches memory. */
const USES = /^device (?:read|write)$/;

/**
 * Turns a machine and threads into a model: every interleaving of the threads and of the devices' own hardware.
 *
 * Accesses are tried again until they are through, as a loop of the search, so that a device that faults for ever is a livelock
 * and not a long path. Progress is an access that is through and an operation that returns.
 *
 * @public
 */
export function machineModel({ name, machine, threads, invariants = [], rules }: MachineModelOptions): Model {
  machine.settle();
  const states = new ThreadStates(machine.memory, threads.filter(({ afterOthers }) => afterOthers !== true).length);
  const stage: Stage = { machine, states, rules: rules?.(states) ?? [] };
  const tasks = [
    ...threads.map((thread, index) => threadTask(stage, thread, index)),
    ...machine.devices.flatMap((device) => device.hardware.map((task) => hardwareTask(stage, task))),
  ];
  return {
    name,
    state: machine.memory,
    tasks,
    invariants,
    progress: (_task, label) => USES.test(label) || label.endsWith(": returns"),
  };
}

/** A server: it waits for work, and one piece of work is one iteration. */
function hardwareTask(stage: Stage, task: { readonly name: string; readonly run: () => Path<unknown> }): TaskModel {
  const seen = { use: undefined };
  return {
    name: task.name,
    serves: true,
    *start(): Path<Iteration> {
      yield* observed(stage, seen, task.name, task.run());
      return [];
    },
  };
}
