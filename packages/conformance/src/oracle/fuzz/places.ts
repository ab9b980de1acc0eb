import type { Random } from "./random.js";

/** First page and number of pages. */
export type Range = readonly [start: number, pages: number];

/** Where the ops of a script go: mostly to what it has mapped. */
export interface Places {
  /** Pages of the arena. */
  readonly arena: number;
  /** Pages into which mappings go. */
  readonly pages: number;
  page(): number;
  range(): Range;
  /** A range for a new mapping. */
  fresh(): Range;
  /** Remembers a mapping. */
  mapped(range: Range): void;
}

/** Mappings that are remembered: those made last. */
const REMEMBERED = 6;

/** A few dozen pages. */
export class SmallPlaces implements Places {
  readonly arena: number;
  readonly #random: Random;
  readonly #spans: Range[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.arena = random.oneOf([16, 16, 24, 32, 48, 64]);
  }

  get pages(): number {
    return this.arena;
  }

  page(): number {
    const random = this.#random;
    const span = random.percent(85) ? this.#span() : undefined;
    return span === undefined ? random.below(this.arena) : span[0] + random.below(span[1]);
  }

  range(): Range {
    const random = this.#random;
    const span = random.percent(80) ? this.#span() : undefined;
    if (span === undefined) return this.fresh();
    if (random.percent(35)) return span;
    const inside = random.below(span[1]);
    return [span[0] + inside, random.between(1, span[1] - inside)];
  }

  fresh(): Range {
    const start = this.#random.below(this.arena);
    return [start, Math.min(this.#random.few(16), this.arena - start)];
  }

  mapped(range: Range): void {
    this.#spans.push(range);
    if (this.#spans.length > REMEMBERED) this.#spans.shift();
  }

  #span(): Range | undefined {
    return this.#spans.length === 0 ? undefined : this.#random.oneOf(this.#spans);
  }
}

const BLOCK = 512;

/** A few huge pages, with a liking for their borders. */
export class HugePlaces implements Places {
  readonly arena: number;
  readonly pages: number;
  readonly #random: Random;
  /** How many of a hundred ranges are whole huge pages. */
  readonly #aligned: number;

  constructor(random: Random, aligned: number) {
    this.#random = random;
    this.#aligned = aligned;
    this.pages = BLOCK * random.oneOf([2, 2, 3, 4]);
    this.arena = 2 * this.pages + BLOCK;
  }

  page(): number {
    const border = this.#random.oneOf([0, 1, 3, 511, 512, 513, 600, 1023, 1024, 1500, this.#random.below(this.pages)]);
    return border % this.pages;
  }

  range(): Range {
    const random = this.#random;
    if (random.percent(this.#aligned)) {
      const block = random.below(this.pages / BLOCK);
      return [BLOCK * block, BLOCK * random.between(1, this.pages / BLOCK - block)];
    }
    const start = this.page();
    return [start, Math.min(random.oneOf([1, 2, 4, 16, 64, 100, 512, 700]), this.pages - start)];
  }

  fresh(): Range {
    return this.range();
  }

  mapped(): void {
    // Ranges are chosen by the borders of huge pages, whatever was mapped.
  }
}
