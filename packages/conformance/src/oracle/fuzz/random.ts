import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** Something that may be chosen, and how much more often than the others. */
export type Weighted<T> = readonly (readonly [weight: number, value: T])[];

/** Choices that depend on a seed and the number of a script only. */
export class Random {
  readonly #generator: ReturnType<typeof xoroshiro128plus>;

  constructor(seed: number, index: number) {
    this.#generator = xoroshiro128plus(Math.imul(seed, 0x9e37_79b1) ^ index);
  }

  /** From `least` to `most`, both included. */
  between(least: number, most: number): number {
    return uniformInt(this.#generator, least, Math.max(least, most));
  }

  /** From 0 to `count` - 1. */
  below(count: number): number {
    return this.between(0, count - 1);
  }

  /** True in so many of a hundred cases. */
  percent(cases: number): boolean {
    return this.below(100) < cases;
  }

  oneOf<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  weighted<T>(choices: Weighted<T>): T {
    let left = this.below(choices.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, value] of choices) {
      left -= weight;
      if (left < 0) return value;
    }
    return choices.at(-1)![1];
  }

  /** Small numbers more often than large ones: 1 to `most`. */
  few(most: number): number {
    let count = 1;
    while (count < most && this.percent(75)) count++;
    return count;
  }
}
