import type { Places, Range } from "./places.js";
import type { Random } from "./random.js";

/** What new mappings are backed by, and what they look like. */
export interface Mappings {
  readonly backings: readonly string[];
  /** How many of a hundred file mappings are shared. */
  readonly shared: number;
  readonly prots: readonly string[];
  /** Every anonymous mapping asks for huge pages. */
  readonly hugepage: boolean;
}

const MOST_CHILDREN = 3;
const MOST_FORKS = 7;

/** A script that is being generated: its lines, and what has to be known to write sensible ones. */
export class Draft {
  readonly lines: string[] = [];
  readonly random: Random;
  readonly places: Places;
  readonly mappings: Mappings;
  readonly #alive: number[] = [];
  #forks = 0;
  pinned = false;
  vm = true;

  constructor(random: Random, places: Places, mappings: Mappings) {
    this.random = random;
    this.places = places;
    this.mappings = mappings;
  }

  add(...words: readonly (string | number | Range)[]): void {
    this.lines.push(words.flat().join(" "));
  }

  /** A file that mappings go to, or undefined when they are all anonymous. */
  file(): string | undefined {
    const files = this.mappings.backings.filter((name) => name !== "anon" && name !== "huge");
    return files.length === 0 ? undefined : this.random.oneOf(files).replace(/ro$/, "");
  }

  fork(): void {
    if (this.#alive.length >= MOST_CHILDREN || this.#forks >= MOST_FORKS) return;
    this.add("fork");
    this.#alive.push(this.#forks++);
  }

  /** A child that lives. */
  child(): number | undefined {
    return this.#alive.length === 0 ? undefined : this.random.oneOf(this.#alive);
  }

  /** A child that is to live no longer. */
  lastBreath(): number | undefined {
    const child = this.child();
    if (child !== undefined) this.#alive.splice(this.#alive.indexOf(child), 1);
    return child;
  }
}
