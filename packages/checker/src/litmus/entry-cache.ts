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
const MOST_ENTRIES = 31;
/** What happened to an entry since the last invalidation of its page. */
const UNCHANGED = 0;
const UPGRADED = 1;
const CHANGED = 2;

/**
 * The page table and everybody's TLB. A TLB is the set of entries it may hold: all that were valid since its last completed
 * invalidation, because hardware may fill it at any time and may evict any time.
 */
export class EntryCache {
  readonly words: number;
  readonly #test: LitmusTest;
  readonly #rules: LitmusRules;
  readonly #mutant: Mutant | undefined;
  readonly #agents: number;
  readonly #locations: number;
  readonly #everything: number;
  /** The different entries of this test, in the order they were met. */
  readonly #known: Value[] = [];
  readonly #entries: number;
  readonly #tlb: number;
  /** Invalidations that are issued and not completed, by issuer and target: a bit for each location, and one for "all". */
  readonly #pending: number;
  readonly #changes: number;

  constructor(test: LitmusTest, rules: LitmusRules, first: number) {
    this.#test = test;
    this.#rules = rules;
    this.#mutant = rules.mutant;
    this.#agents = test.agents.length;
    this.#locations = test.locations.length;
    this.#everything = 1 << this.#locations;
    this.#entries = first;
    this.#tlb = this.#entries + this.#locations;
    this.#pending = this.#tlb + this.#agents * this.#locations;
    this.#changes = this.#pending + this.#agents * this.#agents;
    this.words = this.#changes + this.#locations - first;
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
    if (this.#rules.agents === "filtered" && before !== entry) {
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
    const stays = local || this.#rules.agents === "none" || this.#mutant === "broadcast-stays-local";
    const all = location === undefined || this.#mutant === "invalidation-flushes-everything";
    const bits = all ? this.#everything : 1 << location;
    for (let target = 0; target < this.#agents; target++) {
      if (target !== agent && stays) continue;
      const at = this.#pending + agent * this.#agents + target;
      row[at]! |= target === agent ? bits : this.#forwarded(row, bits);
    }
    for (let l = 0; l < this.#locations; l++) if (all || l === location) row[this.#changes + l] = UNCHANGED;
  }

  /** What a driver that filters upgrades forwards of an invalidation. */
  #forwarded(row: Int32Array, bits: number): number {
    if (this.#rules.agents !== "filtered") return bits;
    const wanted = bits === this.#everything ? this.#everything - 1 : bits;
    let kept = 0;
    for (let l = 0; l < this.#locations; l++)
      if ((wanted & (1 << l)) !== 0 && row[this.#changes + l] !== UPGRADED) kept |= 1 << l;
    return kept;
  }

  /** True while an invalidation that `agent` issued is not completed everywhere. */
  mustWait(row: Int32Array, agent: number): boolean {
    if (this.#mutant === "dsb-does-not-wait") return false;
    for (let target = 0; target < this.#agents; target++)
      if (row[this.#pending + agent * this.#agents + target] !== 0) return true;
    return false;
  }

  /** Every invalidation that may complete now, one at a time, as states that follow `from`. */
  completions(from: Int32Array, row: Int32Array, found: (what: string) => void): void {
    for (let issuer = 0; issuer < this.#agents; issuer++) {
      for (let target = 0; target < this.#agents; target++) {
        const at = this.#pending + issuer * this.#agents + target;
        for (let left = from[at]!; left !== 0; left &= left - 1) {
          const bit = left & -left;
          row.set(from);
          row[at]! &= ~bit;
          for (let l = 0; l < this.#locations; l++) {
            if (bit !== this.#everything && bit !== 1 << l) continue;
            row[this.#slot(target, l)] = 0;
            this.#fillOne(row, target, l, this.current(row, l));
          }
          const what = bit === this.#everything ? "everything" : this.#test.locations[31 - Math.clz32(bit)]!;
          found(`P${target}: the invalidation of ${what} that P${issuer} issued completes`);
        }
      }
    }
  }

  #slot(agent: number, location: number): number {
    return this.#tlb + agent * this.#locations + location;
  }

  #fill(row: Int32Array, location: number, entry: Value): void {
    for (let agent = 0; agent < this.#agents; agent++) this.#fillOne(row, agent, location, entry);
  }

  #fillOne(row: Int32Array, agent: number, location: number, entry: Value): void {
    if (this.#isCached(entry)) row[this.#slot(agent, location)]! |= 1 << this.#number(entry);
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
