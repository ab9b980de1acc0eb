import { RowSet } from "../engine/row-set.js";
import type { Fault } from "./agent-rows.js";
import { LitmusMachine } from "./machine.js";
import type { LitmusRules } from "./rules.js";
import { atomsOf, type Condition, type LitmusTest, type LitmusVerdict, UnsupportedError } from "./test.js";
import { showEntry, showValue } from "./values.js";

/**
 * What a litmus test can end in.
 *
 * @public
 */
export interface LitmusResult {
  readonly test: string;
  readonly states: number;
  readonly verdict: LitmusVerdict;
  /** Every outcome, each a sorted list of what is observed, written as herd writes it; the list is sorted too. */
  readonly outcomes: readonly (readonly string[])[];
  /** The shortest run to a final state that satisfies the condition (breaks it, for "forall"); undefined when there is none. */
  readonly witness: readonly string[] | undefined;
}

const MOST_STATES = 1_000_000;

/**
 * Runs a litmus test in every order and returns all it can end in.
 *
 * @throws UnsupportedError LITMUS_UNSUPPORTED when the test needs what this model does not have, or has too many states.
 * @public
 */
export function runLitmus(test: LitmusTest, rules: LitmusRules = {}): LitmusResult {
  const machine = new LitmusMachine(test, rules);
  const { row } = machine;
  const states = new RowSet(row.length);
  const parents: number[] = [];
  const steps: string[] = [];
  const from = new Int32Array(row.length);
  const observed = observablesOf(test);
  const outcomes = new Map<string, string[]>();
  const wanted = test.quantifier !== "forall";
  let witness = -1;
  machine.starts(() => {
    states.add(row);
    parents.push(-1);
    steps.push("");
  });
  for (let current = 0; current < states.count; current++) {
    if (states.count > (rules.maxStates ?? MOST_STATES))
      throw new UnsupportedError(test.name, `more than ${states.count - 1} states`);
    states.read(current, from);
    machine.successors(from, (what) => {
      const before = states.count;
      if (states.add(row) < before) return;
      parents.push(current);
      steps.push(what);
    });
    if (!isFinal(machine, from) || hidesFault(machine, observed, from)) continue;
    if (witness < 0 && holds(test.condition, machine, from) === wanted) witness = current;
    const outcome = observe(observed, machine, from);
    outcomes.set(outcome.join(";"), outcome);
  }
  return {
    test: test.name,
    states: states.count,
    verdict: verdictOf(test, witness >= 0),
    outcomes: [...outcomes.keys()].sort().map((key) => outcomes.get(key)!),
    witness: witness < 0 ? undefined : way(witness, parents, steps),
  };
}

function verdictOf({ quantifier }: LitmusTest, witnessed: boolean): LitmusVerdict {
  if (quantifier === "forall") return witnessed ? "Not required" : "Required";
  return witnessed ? "Allowed" : "Forbidden";
}

function isFinal(machine: LitmusMachine, row: Int32Array): boolean {
  for (let agent = 0; agent < machine.agents; agent++) if (!machine.isOver(row, agent)) return false;
  return true;
}

/** True when the test does not say what a fault does, and one happened that nothing observed shows. */
function hidesFault(machine: LitmusMachine, observed: readonly Condition[], row: Int32Array): boolean {
  if (machine.test.faults !== "unsaid") return false;
  return machine.test.agents.some((_, agent) => {
    if (machine.faults(row, agent).length === 0) return false;
    return !observed.some((atom) => atom.kind === "fault" && atom.agent === agent && holds(atom, machine, row));
  });
}

function way(state: number, parents: readonly number[], steps: readonly string[]): string[] {
  const taken: string[] = [];
  for (let at = state; parents[at]! >= 0; at = parents[at]!) taken.unshift(steps[at]!);
  return taken;
}

function holds(condition: Condition, machine: LitmusMachine, row: Int32Array): boolean {
  switch (condition.kind) {
    case "and":
      return condition.parts.every((part) => holds(part, machine, row));
    case "or":
      return condition.parts.some((part) => holds(part, machine, row));
    case "not":
      return !holds(condition.part, machine, row);
    case "register":
      return machine.register(row, condition.agent, condition.register) === condition.value;
    case "memory":
      return machine.memory(row, condition.location) === condition.value;
    case "entry":
      return machine.entry(row, condition.location) === condition.value;
    case "fault":
      return faultAt(condition, machine, row) !== undefined;
  }
}

/** The fault that a condition asks about. */
function faultAt(
  { agent, location, label, type }: Condition & { kind: "fault" },
  machine: LitmusMachine,
  row: Int32Array,
): Fault | undefined {
  return machine
    .faults(row, agent)
    .find(
      (fault) =>
        (location === undefined || fault.location === location) &&
        (label === undefined || fault.instruction.labels.includes(label)) &&
        (type === undefined || type === fault.reason),
    );
}

/** What is observed, each thing once. */
function observablesOf(test: LitmusTest): Condition[] {
  const seen = new Map<string, Condition>();
  for (const atom of [...atomsOf(test.condition), ...test.shown]) {
    const key = JSON.stringify("value" in atom ? { ...atom, value: 0 } : atom);
    if (!seen.has(key)) seen.set(key, atom);
  }
  return [...seen.values()];
}

/** The outcome as herd prints it. */
function observe(observed: readonly Condition[], machine: LitmusMachine, row: Int32Array): string[] {
  const names = machine.test.locations;
  const shown: string[] = [];
  for (const atom of observed) {
    switch (atom.kind) {
      case "register":
        shown.push(
          `${atom.agent}:X${atom.register}=${showValue(machine.register(row, atom.agent, atom.register), names)}`,
        );
        break;
      case "memory":
        shown.push(`[${names[atom.location]}]=${showValue(machine.memory(row, atom.location), names)}`);
        break;
      case "entry":
        shown.push(`[PTE(${names[atom.location]})]=${showEntry(machine.entry(row, atom.location), names)}`);
        break;
      case "fault": {
        const label = atom.label === undefined ? "" : `:${atom.label}`;
        const where = `P${atom.agent}${label}${atom.location === undefined ? "" : `,${names[atom.location]}`}`;
        const fault = faultAt(atom, machine, row);
        if (fault === undefined) shown.push(`~Fault(${where}${atom.type === undefined ? "" : `,MMU:${atom.type}`})`);
        else shown.push(`Fault(${where},${atom.type === undefined ? "D-MMU" : "MMU"}:${fault.reason})`);
        break;
      }
      default:
        break;
    }
  }
  return shown.sort();
}
