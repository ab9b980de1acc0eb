import type { Move } from "./move.js";

const FIRST = 1 << 12;

/** How each state was first reached: from which, by which task, with which choice. Eight bytes a state. */
export class Trail {
  #parent = new Int32Array(FIRST);
  #via = new Uint16Array(FIRST);

  get bytes(): number {
    return this.#parent.byteLength + this.#via.byteLength;
  }

  set(state: number, parent: number, move: number): void {
    if (state >= this.#parent.length) this.#grow();
    this.#parent[state] = parent;
    this.#via[state] = move;
  }

  /** The states from the first to `state`. */
  statesTo(state: number): number[] {
    const states: number[] = [];
    for (let at = state; at >= 0; at = this.#parent[at]!) states.push(at);
    return states.reverse();
  }

  /** The moves that first led to `state`. */
  movesTo(state: number): Move[] {
    return this.statesTo(state)
      .slice(1)
      .map((at) => this.#via[at]!);
  }

  #grow(): void {
    // Half as much again: what is never used stays small beside the states.
    const length = Math.ceil(this.#parent.length * 1.5);
    const parent = new Int32Array(length);
    parent.set(this.#parent);
    this.#parent = parent;
    const via = new Uint16Array(length);
    via.set(this.#via);
    this.#via = via;
  }
}
