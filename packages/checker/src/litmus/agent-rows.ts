import type { EntryCache } from "./entry-cache.js";
import { isAccess, waitsForInvalidations } from "./local-order.js";
import type { PreparedPath } from "./prepared-path.js";
import { arithmetic, compute, type PathStep, type Source } from "./program-paths.js";
import type { Instruction, LitmusTest } from "./test.js";
import { FAULTS, isEntryAddress, locationOf, outputOf, type Value } from "./values.js";

/** Words of an agent before those of its steps. */
const PATH = 0;
/** Steps before this one have gone through their entry. */
export const TRANSLATED = 1;
/** A bit for each step that is over. */
export const DONE = 2;
/** A bit for each step whose entry hardware has still to update. */
export const UPDATING = 3;
/** One more than the step whose fault ended the agent. */
export const ENDED = 4;
/** A bit for each step that faulted: a word for each reason. */
export const FAULTED = 5;
const HEAD = FAULTED + FAULTS.length;

/** A fault of an agent. */
export interface Fault {
  readonly instruction: Instruction;
  readonly location: number;
  readonly reason: string;
}

/**
 * What a row of words says about the agents: how far each has come, and for each step one word. That of an access holds the entry it
 * goes through until it takes place, then what it loaded.
 */
export class AgentRows {
  readonly words: number;
  readonly #test: LitmusTest;
  readonly #paths: readonly (readonly PreparedPath[])[];
  readonly #first: readonly number[];

  constructor(test: LitmusTest, paths: readonly (readonly PreparedPath[])[]) {
    this.#test = test;
    this.#paths = paths;
    let at = 0;
    this.#first = paths.map((ways) => {
      const first = at;
      at += HEAD + Math.max(...ways.map(({ steps }) => steps.length));
      return first;
    });
    this.words = at;
  }

  /** Where the words of `agent` begin. */
  first(agent: number): number {
    return this.#first[agent]!;
  }

  /** Where the word of a step of `agent` is. */
  slot(agent: number, i: number): number {
    return this.#first[agent]! + HEAD + i;
  }

  choose(row: Int32Array, agent: number, path: number): void {
    row[this.#first[agent]! + PATH] = path;
  }

  path(row: Int32Array, agent: number): PreparedPath {
    return this.#paths[agent]![row[this.#first[agent]! + PATH]!]!;
  }

  /** Steps of `agent` that can still come: none from a fault on that ended it. */
  end(row: Int32Array, agent: number): number {
    const ended = row[this.#first[agent]! + ENDED]!;
    return ended === 0 ? this.path(row, agent).steps.length : ended - 1;
  }

  isOver(row: Int32Array, agent: number): boolean {
    const first = this.#first[agent]!;
    const wanted = this.path(row, agent).all & ((1 << this.end(row, agent)) - 1);
    return row[first + UPDATING] === 0 && (row[first + DONE]! & wanted) === wanted;
  }

  /** True when a step of the path is not over and nothing that has to come before it is missing. */
  isReady(row: Int32Array, agent: number, i: number): boolean {
    const first = this.#first[agent]!;
    const { order, all, steps } = this.path(row, agent);
    const done = row[first + DONE]!;
    const { before, afterTranslations } = order[i]!;
    if ((all & ~done & (1 << i)) === 0 || (before & ~done) !== 0) return false;
    if (waitsForInvalidations(steps[i]!.instruction) && (row[first + UPDATING]! & ((1 << i) - 1)) !== 0) return false;
    return !afterTranslations || row[first + TRANSLATED]! >= i;
  }

  /** The value of a source whose loads are done. */
  value(row: Int32Array, agent: number, source: Source): Value {
    if ("value" in source) return source.value;
    const { instruction, values } = this.path(row, agent).steps[source.from]!;
    if (isAccess(instruction)) return row[this.slot(agent, source.from)]!;
    return compute(
      this.#test.name,
      instruction,
      values.map((value) => this.value(row, agent, value)),
    );
  }

  /** The location that a step accesses; its loads are done. */
  address(row: Int32Array, agent: number, { address, index }: PathStep): Value {
    const base = this.value(row, agent, address!);
    return index === undefined ? base : arithmetic(this.#test.name, "ADD", base, this.value(row, agent, index));
  }

  /** What a register holds in the end. */
  register(row: Int32Array, agent: number, register: number): Value {
    const { registers, steps } = this.path(row, agent);
    const end = this.end(row, agent);
    let source: Source = registers.get(register) ?? { value: 0 };
    // An agent that faulted never came to what follows.
    while ("from" in source && source.from >= end) source = steps[source.from]!.before!;
    return this.value(row, agent, source);
  }

  /** The faults of `agent`. */
  faults(row: Int32Array, agent: number): Fault[] {
    const { steps } = this.path(row, agent);
    const faults: Fault[] = [];
    FAULTS.forEach((reason, at) => {
      for (let left = row[this.#first[agent]! + FAULTED + at]!; left !== 0; left &= left - 1) {
        const step = steps[31 - Math.clz32(left & -left)]!;
        faults.push({ instruction: step.instruction, location: locationOf(this.address(row, agent, step)), reason });
      }
    });
    return faults;
  }

  /** True when a step has faulted before. */
  hasFaulted(row: Int32Array, agent: number, i: number): boolean {
    return FAULTS.some((_, at) => (row[this.#first[agent]! + FAULTED + at]! & (1 << i)) !== 0);
  }

  /** True when `agent` has gone through an entry of `location` that is not the current one, and the access is still to come. */
  isBetween(row: Int32Array, agent: number, location: number, cache: EntryCache): boolean {
    const first = this.#first[agent]!;
    const { steps, all } = this.path(row, agent);
    const end = Math.min(row[first + TRANSLATED]!, this.end(row, agent));
    for (let i = 0; i < end; i++) {
      if ((all & ~row[first + DONE]! & (1 << i)) === 0) continue;
      const entry = row[this.slot(agent, i)]!;
      if (!isAccess(steps[i]!.instruction) || entry === 0) continue;
      if ((row[first + UPDATING]! & (1 << i)) !== 0) continue;
      if (locationOf(this.address(row, agent, steps[i]!)) !== location) continue;
      if (entry !== cache.current(row, location)) return true;
    }
    return false;
  }

  /** Where an access takes place: a location, or one below 0 for an entry. */
  place(row: Int32Array, agent: number, i: number, address: Value): number {
    return isEntryAddress(address) ? -1 - locationOf(address) : outputOf(row[this.slot(agent, i)]!);
  }

  /** The last earlier access of the same agent and place that is still to come. */
  earlierOnSamePlace(
    row: Int32Array,
    agent: number,
    i: number,
    place: number,
  ): { readonly at: number; readonly step: PathStep } | "unknown" | undefined {
    const first = this.#first[agent]!;
    const { steps, order } = this.path(row, agent);
    const done = row[first + DONE]!;
    for (let at = i - 1; at >= 0; at--) {
      const step = steps[at]!;
      if ((done & (1 << at)) !== 0 || !isAccess(step.instruction)) continue;
      if ((order[at]!.addressLoads & ~done) !== 0) return "unknown";
      const address = this.address(row, agent, step);
      if (isEntryAddress(address) !== place < 0) continue;
      if (place >= 0 && row[first + TRANSLATED]! <= at) return "unknown";
      if (this.place(row, agent, at, address) === place) return { at, step };
    }
    return undefined;
  }

  /** True while hardware has read an entry and not updated it: nobody may change it in between. */
  isUpdating(row: Int32Array, location: number): boolean {
    for (let agent = 0; agent < this.#paths.length; agent++) {
      const { steps } = this.path(row, agent);
      for (let left = row[this.#first[agent]! + UPDATING]!; left !== 0; left &= left - 1) {
        const step = steps[31 - Math.clz32(left & -left)]!;
        if (locationOf(this.address(row, agent, step)) === location) return true;
      }
    }
    return false;
  }

  /** False when a jump would not go where the path of `agent` goes. */
  keepsToItsPath(row: Int32Array, agent: number): boolean {
    const done = row[this.#first[agent]! + DONE]!;
    const { checks } = this.path(row, agent);
    const end = this.end(row, agent);
    return checks.every(({ at, loads, value, compared, equal }) => {
      if (at > end || (loads & ~done) !== 0) return true;
      return (this.value(row, agent, value) === this.value(row, agent, compared)) === equal;
    });
  }
}
