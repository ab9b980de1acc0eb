import { AgentRows, DONE, ENDED, type Fault, FAULTED, TRANSLATED, UPDATING } from "./agent-rows.js";
import { EntryCache } from "./entry-cache.js";
import { isAccess, waitsForInvalidations } from "./local-order.js";
import { isStable, preparedPaths, usersOf } from "./prepared-path.js";
import { arithmetic, type PathStep } from "./program-paths.js";
import type { LitmusRules } from "./rules.js";
import { type LitmusTest, UnsupportedError } from "./test.js";
import {
  ACCESS_FLAG,
  ACCESSED,
  DBM,
  entryOf,
  FAULTS,
  isAddress,
  isEntry,
  isEntryAddress,
  isPage,
  locationOf,
  PERMISSION,
  PRIVILEGED,
  TRANSLATION,
  VALID,
  type Value,
  WRITE,
} from "./values.js";

/**
 * The machine a litmus test runs on. Memory is one for all: what an agent does takes effect in one order, but not in the order of
 * its program. A load, a store or an invalidation may overtake earlier ones unless Arm's locally-ordered-before keeps it behind
 * them; a load takes its value from an earlier store of its own agent that has not taken effect yet. Entries are read in program
 * order, apart from the access itself. Each agent's TLB may hold any entry that was valid since its last completed invalidation;
 * invalidations are issued and completed apart; hardware updates of the access flag and the dirty state are atomic on the entry in
 * memory, and that of the access flag may come for no reason.
 */
export class LitmusMachine {
  readonly test: LitmusTest;
  /** The state in work. */
  readonly row: Int32Array;
  readonly #rows: AgentRows;
  readonly #cache: EntryCache;
  readonly #paths: readonly number[];
  readonly #memory: number;
  readonly #stable: readonly boolean[];
  /** Some agent's hardware sets the access flag. */
  readonly #spontaneous: boolean;

  constructor(test: LitmusTest, rules: LitmusRules) {
    this.test = test;
    const paths = preparedPaths(test);
    this.#paths = paths.map(({ length }) => length);
    this.#rows = new AgentRows(test, paths);
    this.#memory = this.#rows.words;
    const users = test.locations.map((_, location) => usersOf(test, paths, location));
    this.#stable = test.locations.map((_, location) => isStable(test, paths, location));
    this.#spontaneous = test.hardware.some(({ accessFlag }) => accessFlag);
    this.#cache = new EntryCache(test, rules, users, this.#memory + test.locations.length);
    this.row = new Int32Array(this.#memory + test.locations.length + this.#cache.words);
  }

  get agents(): number {
    return this.test.agents.length;
  }

  /** Writes every initial state: one for each choice of paths. */
  starts(found: () => void): void {
    const { row } = this;
    row.fill(0);
    row.set(this.test.memory, this.#memory);
    this.#cache.reset(row);
    const start = row.slice();
    const chosen: number[] = [];
    const choose = (agent: number): void => {
      if (agent < this.agents) {
        for (let path = 0; path < this.#paths[agent]!; path++) {
          chosen[agent] = path;
          choose(agent + 1);
        }
        return;
      }
      row.set(start);
      chosen.forEach((path, a) => this.#rows.choose(row, a, path));
      chosen.forEach((_, a) => this.#runOn(a));
      if (chosen.every((_, a) => this.#rows.keepsToItsPath(row, a))) found();
    };
    choose(0);
  }

  register(row: Int32Array, agent: number, register: number): Value {
    return this.#rows.register(row, agent, register);
  }

  memory(row: Int32Array, location: number): Value {
    return row[this.#memory + location]!;
  }

  entry(row: Int32Array, location: number): Value {
    return this.#cache.current(row, location);
  }

  faults(row: Int32Array, agent: number): Fault[] {
    return this.#rows.faults(row, agent);
  }

  isOver(row: Int32Array, agent: number): boolean {
    return this.#rows.isOver(row, agent);
  }

  /**
   * Lists every state that follows `from`: for each, the state is left in {@link row} and `found` is called with what happened.
   */
  successors(from: Int32Array, found: (what: string) => void): void {
    for (let agent = 0; agent < this.agents; agent++) {
      if (this.isOver(from, agent)) continue;
      const first = this.#rows.first(agent);
      const { steps } = this.#rows.path(from, agent);
      const end = this.#rows.end(from, agent);
      for (let i = 0; i < end; i++) {
        if (i >= from[first + TRANSLATED]! && isAccess(steps[i]!.instruction)) this.#translate(agent, i, from, found);
        if (this.#rows.isReady(from, agent, i)) this.#perform(agent, i, steps[i]!, from, found);
        if ((from[first + UPDATING]! & (1 << i)) !== 0) this.#update(agent, i, from, found);
      }
    }
    if (this.#spontaneous) this.#updateForNoReason(from, found);
  }

  /** Lets a step take effect that is ready. */
  #perform(agent: number, i: number, step: PathStep, from: Int32Array, found: (what: string) => void): void {
    const { row } = this;
    const { instruction, address } = step;
    row.set(from);
    switch (instruction.kind) {
      case "invalidate": {
        const page = address === undefined ? undefined : this.#rows.value(row, agent, address);
        // An operand that is no page number names some other page: nothing that the test looks at is invalidated.
        if (page === undefined || isPage(page))
          this.#cache.issue(row, agent, page === undefined ? page : locationOf(page), instruction.scope === "local");
        break;
      }
      case "dsb":
        if (this.#isInUse(from, agent)) return;
        this.#cache.complete(row, agent);
        break;
      default:
        if (!this.#access(agent, i, step, from)) return;
    }
    row[this.#rows.first(agent) + DONE]! |= 1 << i;
    if (!this.#rows.keepsToItsPath(row, agent)) return;
    this.#runOn(agent);
    found(`P${agent}: ${instruction.text}`);
  }

  /** An invalidation completes when no other agent is in the middle of an access through an entry that goes. */
  #isInUse(row: Int32Array, issuer: number): boolean {
    for (let location = 0; location < this.test.locations.length; location++) {
      const reached = this.#cache.reached(row, issuer, location);
      for (let agent = 0; agent < this.agents; agent++) {
        if ((reached & (1 << agent)) !== 0 && this.#rows.isBetween(row, agent, location, this.#cache)) return true;
      }
    }
    return false;
  }

  /** A load, a store or both, on the location that was found before; false when it has to wait for an earlier one. */
  #access(agent: number, i: number, step: PathStep, from: Int32Array): boolean {
    const { row } = this;
    const rows = this.#rows;
    const first = rows.first(agent);
    const slot = rows.slot(agent, i);
    const { instruction, values } = step;
    const address = rows.address(from, agent, step);
    const inTable = isEntryAddress(address);
    const location = locationOf(address);
    if (!inTable && (from[first + TRANSLATED]! <= i || from[slot] === 0)) return false;
    const place = rows.place(from, agent, i, address);
    const earlier = rows.earlierOnSamePlace(from, agent, i, place);
    if (earlier === "unknown") return false;
    const isLoad = instruction.kind === "load";
    let before: Value;
    if (earlier !== undefined) {
      // Only a load may go on before it, with the value that is going to be stored, if that is known.
      const { instruction: other, values: stored } = earlier.step;
      if (!isLoad || other.kind === "load" || (other.kind === "swap" && other.operation !== "SWP")) return false;
      if ((rows.path(from, agent).order[earlier.at]!.valueLoads & ~from[first + DONE]!) !== 0) return false;
      before = rows.value(from, agent, stored[0]!);
      if (inTable) before = this.#asEntry(before, location);
    } else before = inTable ? this.#cache.current(from, location) : from[this.#memory + place]!;
    if (!isLoad) {
      let value = rows.value(from, agent, values[0]!);
      if (instruction.kind === "swap" && instruction.operation !== "SWP")
        value = arithmetic(this.test.name, instruction.operation, before, value);
      if (!inTable) row[this.#memory + place] = value;
      else if (rows.isUpdating(from, location)) return false;
      else this.#cache.write(row, location, this.#asEntry(value, location));
    }
    row[slot] = instruction.kind === "store" ? 0 : before;
    return true;
  }

  /**
   * An access goes through one of the entries that its TLB may hold, or through the one in the table. Only the next one in program
   * order may find one that lets it through; a missing right may be noticed before.
   */
  #translate(agent: number, i: number, from: Int32Array, found: (what: string) => void): void {
    const { row } = this;
    const first = this.#rows.first(agent);
    const slot = this.#rows.slot(agent, i);
    const { steps, order } = this.#rows.path(from, agent);
    const { instruction } = steps[i]!;
    if ((order[i]!.beforeTranslation & ~from[first + DONE]!) !== 0) return;
    const address = this.#rows.address(from, agent, steps[i]!);
    if (isEntryAddress(address)) return;
    const location = locationOf(address);
    for (const { entry, walked } of this.#cache.translations(from, agent, location)) {
      row.set(from);
      const what = `P${agent}: ${instruction.text}`;
      const how = walked ? "(walk)" : "(TLB)";
      const answer = this.#check(agent, entry, instruction.kind !== "load");
      if (typeof answer === "number") {
        if (!this.#mayFault(agent, i, answer, from)) continue;
        row[first + FAULTED + answer]! |= 1 << i;
        if (this.test.faults !== "handled") this.#endAt(agent, i);
        this.#runOn(agent);
        found(`${what} ${how}: ${FAULTS[answer]} fault`);
        continue;
      }
      if (i !== from[first + TRANSLATED]) continue;
      if (answer === "update") {
        // Hardware changes the entry in memory, not a copy: it must still be the one that was read, and stay so.
        if (this.#cache.current(from, location) !== entry || this.#rows.isUpdating(from, location)) continue;
        row[first + UPDATING]! |= 1 << i;
      }
      row[slot] = entry;
      row[first + TRANSLATED] = i + 1;
      this.#runOn(agent);
      found(`${what} finds its entry ${how}`);
    }
  }

  /** Checks rights: nothing to say, an entry that hardware has to update, or the reason of a fault. */
  #check(agent: number, entry: Value, writes: boolean): number | "update" | undefined {
    const { accessFlag, dirty, user } = this.test.hardware[agent]!;
    if ((entry & VALID) === 0) return TRANSLATION;
    const young = (entry & ACCESSED) !== 0;
    if (!young && !accessFlag) return ACCESS_FLAG;
    if (user && (entry & PRIVILEGED) !== 0) return PERMISSION;
    if (!writes || (entry & WRITE) !== 0) return young ? undefined : "update";
    return (entry & DBM) !== 0 && dirty ? "update" : PERMISSION;
  }

  #mayFault(agent: number, i: number, reason: number, from: Int32Array): boolean {
    const first = this.#rows.first(agent);
    const { order, visible } = this.#rows.path(from, agent);
    const { beforeFault, beforeUncachedFault, beforeUpdate } = order[i]!;
    const done = from[first + DONE]!;
    // What follows a fault does not happen, or after it: a run in which some of it has happened is none.
    if (from[first + ENDED] !== 0 || (done & visible & ~((1 << i) - 1)) !== 0) return false;
    let missing = beforeFault;
    if (reason !== PERMISSION) missing |= beforeUncachedFault;
    // A fault that is handled is an exception: it waits for what an ISB would wait for. Once back, the access is tried again; a
    // second fault of the same access would show nothing new.
    if (this.test.faults === "handled") {
      if (i !== from[first + TRANSLATED] || this.#rows.hasFaulted(from, agent, i)) return false;
      missing |= beforeUpdate;
    }
    return (missing & ~done) === 0;
  }

  /** Nothing is left of the steps from a fault on, so that equal states look equal. */
  #endAt(agent: number, i: number): void {
    const { row } = this;
    const first = this.#rows.first(agent);
    row[first + ENDED] = i + 1;
    row[first + DONE]! &= (1 << i) - 1;
    const { steps } = this.#rows.path(row, agent);
    for (let at = i; at < steps.length; at++) row[this.#rows.slot(agent, at)] = 0;
  }

  /** Hardware updates the entry that an access went through. The access itself may come before or after. */
  #update(agent: number, i: number, from: Int32Array, found: (what: string) => void): void {
    const { row } = this;
    const first = this.#rows.first(agent);
    const { steps, order } = this.#rows.path(from, agent);
    if ((order[i]!.beforeUpdate & ~from[first + DONE]!) !== 0) return;
    const { instruction } = steps[i]!;
    row.set(from);
    const location = locationOf(this.#rows.address(from, agent, steps[i]!));
    const writes = instruction.kind === "load" ? 0 : WRITE;
    this.#cache.write(row, location, this.#cache.current(row, location) | ACCESSED | writes);
    row[first + UPDATING]! &= ~(1 << i);
    this.#runOn(agent);
    found(`P${agent}: ${instruction.text} updates the entry`);
  }

  /** Hardware may set the access flag of any valid entry, as if somebody had been about to access it. */
  #updateForNoReason(from: Int32Array, found: (what: string) => void): void {
    for (let location = 0; location < this.test.locations.length; location++) {
      const entry = this.#cache.current(from, location);
      if ((entry & VALID) === 0 || (entry & ACCESSED) !== 0 || this.#rows.isUpdating(from, location)) continue;
      this.row.set(from);
      this.#cache.write(this.row, location, entry | ACCESSED);
      found(`hardware sets the access flag of ${this.test.locations[location]}`);
    }
  }

  #asEntry(value: Value, location: number): Value {
    if (isEntry(value)) return value;
    if (value !== 0) throw new UnsupportedError(this.test.name, "a page-table entry is overwritten by a number");
    return entryOf({ output: location, valid: false, accessed: false, write: false, dbm: false, privileged: false });
  }

  /** Goes on with all that nobody else can see: barriers that have nothing to wait for, entries that leave no choice. */
  #runOn(agent: number): void {
    const { row } = this;
    const rows = this.#rows;
    const first = rows.first(agent);
    const { steps, order, all } = rows.path(row, agent);
    const end = rows.end(row, agent);
    for (let moved = true; moved;) {
      moved = false;
      for (let i = 0; i < end; i++) {
        const { instruction } = steps[i]!;
        const barrier = instruction.kind === "dmb" || instruction.kind === "isb" || instruction.kind === "dsb";
        if (!barrier || (all & ~row[first + DONE]! & (1 << i)) === 0 || !rows.isReady(row, agent, i)) continue;
        if (waitsForInvalidations(instruction) && this.#cache.hasIssued(row, agent)) continue;
        row[first + DONE]! |= 1 << i;
        moved = true;
      }
      for (let i = row[first + TRANSLATED]!; i < end; i++) {
        if (isAccess(steps[i]!.instruction)) {
          if ((order[i]!.addressLoads & ~row[first + DONE]!) !== 0) break;
          const address = rows.address(row, agent, steps[i]!);
          if (!isEntryAddress(address) && !this.#findsStableEntry(agent, i, address)) break;
          if (isEntryAddress(address) && this.test.hardware[agent]!.user)
            throw new UnsupportedError(this.test.name, `P${agent} accesses a page-table entry at EL0`);
        }
        row[first + TRANSLATED] = i + 1;
        moved = true;
      }
    }
  }

  /** Lets an access go through an entry that leaves no choice. */
  #findsStableEntry(agent: number, i: number, address: Value): boolean {
    const { row } = this;
    if (!isAddress(address))
      throw new UnsupportedError(this.test.name, `P${agent} accesses memory through a register that holds no address`);
    const location = locationOf(address);
    const { beforeTranslation } = this.#rows.path(row, agent).order[i]!;
    if (!this.#stable[location] || (beforeTranslation & ~row[this.#rows.first(agent) + DONE]!) !== 0) return false;
    row[this.#rows.slot(agent, i)] = this.#cache.current(row, location);
    return true;
  }
}
