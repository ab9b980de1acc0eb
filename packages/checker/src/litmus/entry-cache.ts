import type { LitmusRules, Mutant } from "./rules.js";
import { type LitmusTest, UnsupportedError } from "./test.js";
import { ACCESSED, outputOf, VALID, type Value, WRITE } from "./values.js";

/** An entry that an access may use. */
export interface Translation {
  readonly entry: Value;
  /** It was read from the table just now. */
  readonly walked: boolean;
}

/** Entries of one test that can be told apart in a word. */
const MOST_ENTRIES = 30;
/** Set in a word of an invalidation: one is issued. */
const ISSUED = 1 << 30;
/** What happened to an entry since the last invalidation of its page. */
const UNCHANGED = 0;
const UPGRADED = 1;
const CHANGED = 2;

/**
 * The page table and everybody's TLB. A TLB is the set of entries it may hold: all that were valid since its last completed
 * invalidation, because hardware may fill it at any time and may evict any time. An invalidation may take effect anywhere between
 * its issue and the barrier that waits for it; what was valid since its issue may stay.
 */
export class EntryCache {
  readonly words: number;
  readonly #test: LitmusTest;
  readonly #mutant: Mutant | undefined;
  readonly #filtered: boolean;
  readonly #alwaysLocal: boolean;
  readonly #agents: number;
  readonly #locations: number;
  /** Which agents ever go through the entry of a location: a bit for each agent. The others' TLBs are nobody's concern. */
  readonly #users: readonly number[];
  /** The different entries of this test, in the order they were met. */
  readonly #known: Value[] = [];
  readonly #entries: number;
  readonly #tlb: number;
  /** For each issuer and location, local and broadcast: the entries that were valid since the issue. */
  readonly #issued: number;
  readonly #changes: number;

  constructor(test: LitmusTest, rules: LitmusRules, users: readonly number[], first: number) {
    this.#test = test;
    this.#mutant = rules.mutant;
    this.#filtered = rules.agents === "filtered";
    this.#alwaysLocal = rules.agents === "none" || rules.mutant === "broadcast-stays-local";
    this.#users = users;
    this.#agents = test.agents.length;
    this.#locations = test.locations.length;
    this.#entries = first;
    this.#tlb = this.#entries + this.#locations;
    this.#issued = this.#tlb + this.#agents * this.#locations;
    this.#changes = this.#issued + 2 * this.#agents * this.#locations;
    this.words = this.#changes + (this.#filtered ? this.#locations : 0) - first;
  }

  /** Writes the initial table, which may be cached already. */
  reset(row: Int32Array): void {
    this.#test.entries.forEach((entry, location) => {
      row[this.#entries + location] = entry;
      this.#fill(row, location, entry);
    });
  }

  current(row: Int32Array, location: number): Value {
    return row[this.#entries + location]!;
  }

  /** Stores an entry. From now on every TLB may hold it. */
  write(row: Int32Array, location: number, entry: Value): void {
    const before = this.current(row, location);
    const upgrade = isUpgrade(before, entry);
    if (this.#filtered && before !== entry) {
      const change = this.#changes + location;
      row[change] = upgrade && row[change] !== CHANGED ? UPGRADED : CHANGED;
    }
    row[this.#entries + location] = entry;
    if (upgrade && this.#mutant === "upgrade-drops-weaker-entries") {
      for (let agent = 0; agent < this.#agents; agent++) row[this.#slot(agent, location)] = 0;
    }
    this.#fill(row, location, entry);
  }

  /** Every entry that an access of `agent` to `location` may go through. */
  translations(row: Int32Array, agent: number, location: number): Translation[] {
    const current = this.current(row, location);
    const cached = this.#mutant === "no-tlb" ? 0 : row[this.#slot(agent, location)]!;
    const found: Translation[] = [];
    let hasCurrent = false;
    for (let i = 0; i < this.#known.length; i++) {
      if ((cached & (1 << i)) === 0) continue;
      const entry = this.#known[i]!;
      if (entry === current) hasCurrent = true;
      found.push({ entry, walked: entry === current });
    }
    if (!hasCurrent && (found.length === 0 || this.#mutant !== "cached-must-be-used"))
      found.push({ entry: current, walked: true });
    return found;
  }

  /** Issues an invalidation of one location, or of all. */
  issue(row: Int32Array, agent: number, location: number | undefined, local: boolean): void {
    if (this.#mutant === "invalidation-has-no-effect") return;
    const all = location === undefined || this.#mutant === "invalidation-flushes-everything";
    for (let l = 0; l < this.#locations; l++) {
      if (!all && l !== location) continue;
      const current = this.current(row, l);
      const stays = ISSUED | (this.#isCached(current) ? 1 << this.#number(current) : 0);
      const at = this.#issue(agent, l);
      row[at] = stays;
      // A driver that filters upgrades does not forward the invalidation of a page that was only upgraded.
      const forwarded = !this.#filtered || row[this.#changes + l] !== UPGRADED;
      if (!local && !this.#alwaysLocal && forwarded) row[at + 1] = stays;
      if (this.#filtered) row[this.#changes + l] = UNCHANGED;
    }
  }

  /** True while an invalidation that `agent` issued is not completed everywhere. */
  hasIssued(row: Int32Array, agent: number): boolean {
    if (this.#mutant === "dsb-does-not-wait") return false;
    for (let l = 0; l < this.#locations; l++) if (row[this.#issue(agent, l)] !== 0) return true;
    return false;
  }

  /** Which other agents lose an entry of `location` when the invalidations of `agent` complete: a bit for each. */
  reached(row: Int32Array, agent: number, location: number): number {
    return row[this.#issue(agent, location) + 1] === 0 ? 0 : this.#users[location]! & ~(1 << agent);
  }

  /** Completes every invalidation that `agent` issued. */
  complete(row: Int32Array, agent: number): void {
    for (let l = 0; l < this.#locations; l++) {
      const at = this.#issue(agent, l);
      if (row[at] !== 0) row[this.#slot(agent, l)]! &= row[at]!;
      if (row[at + 1] !== 0) {
        for (let target = 0; target < this.#agents; target++)
          if (target !== agent) row[this.#slot(target, l)]! &= row[at + 1]!;
      }
      row[at] = row[at + 1] = 0;
    }
  }

  #issue(agent: number, location: number): number {
    return this.#issued + 2 * (agent * this.#locations + location);
  }

  #slot(agent: number, location: number): number {
    return this.#tlb + agent * this.#locations + location;
  }

  #fill(row: Int32Array, location: number, entry: Value): void {
    if (!this.#isCached(entry)) return;
    const bit = 1 << this.#number(entry);
    for (let agent = 0; agent < this.#agents; agent++) {
      if ((this.#users[location]! & (1 << agent)) !== 0) row[this.#slot(agent, location)]! |= bit;
      const at = this.#issue(agent, location);
      if (row[at] !== 0) row[at]! |= bit;
      if (row[at + 1] !== 0) row[at + 1]! |= bit;
    }
  }

  /** Invalid entries, and those without the access flag, are never cached. */
  #isCached(entry: Value): boolean {
    if (this.#mutant === "invalid-is-cached") return true;
    if (this.#mutant === "read-only-is-never-cached" && (entry & WRITE) === 0) return false;
    return (entry & VALID) !== 0 && (entry & ACCESSED) !== 0;
  }

  #number(entry: Value): number {
    const known = this.#known.indexOf(entry);
    if (known >= 0) return known;
    if (this.#known.length === MOST_ENTRIES)
      throw new UnsupportedError(this.#test.name, `more than ${MOST_ENTRIES} different entries`);
    return this.#known.push(entry) - 1;
  }
}

/** True when an entry that stays valid and maps the same location becomes writable. */
function isUpgrade(before: Value, after: Value): boolean {
  return (
    (before & after & VALID) !== 0 &&
    outputOf(before) === outputOf(after) &&
    (before & WRITE) === 0 &&
    (after & WRITE) !== 0
  );
}
