import type { TlbCounters, TlbGeometry } from "@mmu-notifier/replay";

/** The TLB of the replay as one would write it first: maps of objects, arrays in LRU order, newest first. */
export class NaiveTlb {
  readonly #geometry: TlbGeometry;
  readonly #l1 = new Map<number, { tag: number; writable: boolean }[]>();
  readonly #l2 = new Map<number, { tag: number; writable: boolean }[]>();
  readonly #pages = new Map<number, boolean>();
  readonly counters: { -readonly [K in keyof TlbCounters]: number } = {
    l1Hits: 0,
    l2Hits: 0,
    walks: 0,
    faults: 0,
    upgrades: 0,
    refused: 0,
  };

  constructor(geometry: TlbGeometry) {
    this.#geometry = geometry;
  }

  access(key: number): void {
    const tag = key >>> 1;
    const write = (key & 1) === 1;
    const { l1Sets, l2Sets, l2Ways } = this.#geometry;
    if (use(setOf(this.#l1, tag % l1Sets), tag, write)) {
      this.counters.l1Hits++;
      return;
    }
    const second = use(setOf(this.#l2, tag % l2Sets), tag, write);
    if (second) this.counters.l2Hits++;
    else {
      this.counters.walks++;
      const writable = this.#pages.get(tag);
      if (writable === undefined) {
        this.counters.faults++;
        this.#pages.set(tag, write);
      } else if (write && !writable) {
        this.counters.upgrades++;
        this.#pages.set(tag, true);
        this.drop(tag);
      }
      insert(setOf(this.#l2, tag % l2Sets), { tag, writable: this.#pages.get(tag) === true }, l2Ways);
    }
    insert(setOf(this.#l1, tag % l1Sets), { tag, writable: setOf(this.#l2, tag % l2Sets)[0]!.writable }, 4);
  }

  drop(tag: number): void {
    for (const [sets, count] of [
      [this.#l1, this.#geometry.l1Sets],
      [this.#l2, this.#geometry.l2Sets],
    ] as const) {
      const set = setOf(sets, tag % count);
      const at = set.findIndex((entry) => entry.tag === tag);
      if (at >= 0) set.splice(at, 1);
    }
  }
}

type Entry = { tag: number; writable: boolean };

function setOf(sets: Map<number, Entry[]>, index: number): Entry[] {
  let set = sets.get(index);
  if (set === undefined) sets.set(index, (set = []));
  return set;
}

/** Moves the entry that allows the access to the front. */
function use(set: Entry[], tag: number, write: boolean): boolean {
  const at = set.findIndex((entry) => entry.tag === tag && (entry.writable || !write));
  if (at < 0) return false;
  set.unshift(...set.splice(at, 1));
  return true;
}

function insert(set: Entry[], entry: Entry, ways: number): void {
  set.unshift(entry);
  set.length = Math.min(set.length, ways);
}
