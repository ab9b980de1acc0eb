import type { Memory, Segment } from "@mmu-notifier/steps";
import type { Oracle } from "./oracle.js";

const STATE = 1;
const STRIDE = 4;
const FREED = 1;

/** Something that is allocated once, may be freed, and must not be used or freed afterwards: a driver's structure, a hardware handle. */
export class TrackedObject {
  readonly name: string;
  readonly #oracle: Oracle;
  readonly #segment: Segment;
  readonly #at: number;

  constructor(memory: Memory, oracle: Oracle, name: string) {
    this.name = name;
    this.#oracle = oracle;
    this.#segment = memory.segment(name, STRIDE, 1);
    this.#at = this.#segment.alloc() * STRIDE + STATE;
  }

  get isFreed(): boolean {
    return this.#segment.i32[this.#at] === FREED;
  }

  /** In a step: `by` looks at it. UAF when it is gone. */
  use(by: string): void {
    if (this.isFreed) this.#oracle.record("UAF", this.name, `${by} uses ${this.name} after it was freed`);
  }

  /** In a step: `by` frees it. UAF when somebody has already. */
  free(by: string): void {
    if (this.isFreed) this.#oracle.record("UAF", this.name, `${by} frees ${this.name} a second time`);
    this.#segment.i32[this.#at] = FREED;
  }
}
