import type { Machine } from "@mmu-notifier/machine";
import type { Path } from "@mmu-notifier/steps";
import type { Iteration, Invariant, Model, TaskModel } from "../engine/model.js";
import { VerdictLog } from "../engine/verdict-log.js";
import { Coherence } from "./coherence/coherence.js";
import { staleIn, viewOf } from "./coherence/view.js";
import { hearComplaints } from "./complaints.js";
import { pluginReports } from "./plugin-invariants.js";
import { isQuiet } from "./quiet.js";
import { observed, type Seen, type Stage, type StepRule } from "./observed.js";
import { type MachineThread, threadTask } from "./thread-task.js";
import { ThreadStates } from "./thread-states.js";
import { watch } from "./watch/watch.js";

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
  /**
   * Hold every cache of translations against the page tables, and what is done against the rules of notifiers, in every state and
   * every use. @defaultValue true
   */
  readonly coherence?: boolean;
  /** More rules, for every state. */
  readonly invariants?: readonly Invariant[];
  /** More rules, for steps. */
  readonly rules?: readonly StepRule[];
}

/** Labels of the steps in which an access of a device reaches memory. */
const USES = /^device (?:read|write)$/;
/** Page numbers of address spaces that begin high up. */
const LONG_NUMBER = /\b\d{7,}\b/g;

/**
 * Turns a machine and threads into a model: every interleaving of the threads and of the devices' own hardware.
 *
 * Accesses are tried again until they are through, as a loop of the search, so that a device that faults for ever is a livelock
 * and not a long path. Progress is an access that is through and an operation that returns.
 *
 * @public
 */
export function machineModel({
  name,
  machine,
  threads,
  coherence = true,
  invariants = [],
  rules = [],
}: MachineModelOptions): Model {
  machine.settle();
  const { first, pages } = machine.kernel.tables;
  const states = new ThreadStates(
    machine.memory,
    threads.map(({ afterOthers = false }) => afterOthers),
  );
  const mm = machine.processes[0]?.mm;
  const page = (vpn: number, of: number): string => `page ${vpn - first}${of === mm ? "" : ` of mm${of}`}`;
  const log = new VerdictLog(machine.memory);
  const watched = coherence ? watch(machine, threads, page, log) : undefined;
  const coherent = watched === undefined ? undefined : new Coherence(machine, states, page, watched);
  const seen: Seen = { use: undefined, report: undefined };
  const stage: Stage = {
    machine,
    states,
    seen,
    rules: coherent === undefined ? rules : [coherent.rule, ...rules],
    watcher: watched,
  };
  hearComplaints(machine, seen);
  const plugins = machine.registry.list("invariant");
  return {
    name,
    state: machine.memory,
    tasks: [
      ...threads.map((thread, index) => threadTask(stage, thread, index)),
      ...machine.devices.flatMap((device) => device.hardware.map((task) => hardwareTask(stage, task))),
    ],
    invariants,
    reports: () => [
      ...(coherent?.reports() ?? []),
      ...log.reports(),
      ...(plugins.length > 0 && isQuiet(machine, states) ? pluginReports(machine, plugins) : []),
    ],
    progress: (_task, label) => USES.test(label) || label.endsWith(": returns"),
    view: () => viewOf(machine, page),
    stale: () => staleIn(machine, page),
    wording: (label) =>
      label.replace(LONG_NUMBER, (digits) =>
        Number(digits) >= first && Number(digits) < pages ? String(Number(digits) - first) : digits,
      ),
  };
}

/** A server: it waits for work, and one piece of work is one iteration. */
function hardwareTask(stage: Stage, task: { readonly name: string; readonly run: () => Path<unknown> }): TaskModel {
  return {
    name: task.name,
    serves: true,
    *start(): Path<Iteration> {
      yield* observed(stage, task.name, task.run());
      return [];
    },
  };
}
