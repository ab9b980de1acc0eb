import type { Move } from "./move.js";

const FIRST = 1 << 12;

/** The explored graph: the moves out of each state, in the order the states were expanded. Seven bytes a transition. */
export class Graph {
  /** First edge of each state; one entry more than there are states. */
  #first = new Int32Array(FIRST);
  #target = new Int32Array(FIRST);
  #move = new Uint16Array(FIRST);
  #progress = new Uint8Array(FIRST);
  #states = 0;
  #edges = 0;

  get states(): number {
    return this.#states;
  }

  get edges(): number {
    return this.#edges;
  }

  /** Begins the edges of the next state. */
  open(): void {
    if (this.#states + 2 > this.#first.length) this.#first = grown(this.#first, Int32Array);
    this.#first[this.#states++] = this.#edges;
    this.#first[this.#states] = this.#edges;
  }

  /** Drops the edges of all states from `state` on. */
  rewind(state: number): void {
    if (state >= this.#states) return;
    this.#states = state;
    this.#edges = this.#first[state]!;
  }

  add(target: number, move: Move, progress: boolean): void {
    if (this.#edges === this.#target.length) {
      this.#target = grown(this.#target, Int32Array);
      this.#move = grown(this.#move, Uint16Array);
      this.#progress = grown(this.#progress, Uint8Array);
    }
    this.#target[this.#edges] = target;
    this.#move[this.#edges] = move;
    this.#progress[this.#edges] = progress ? 1 : 0;
    this.#first[this.#states] = ++this.#edges;
  }

  firstEdge(state: number): number {
    return this.#first[state]!;
  }

  endEdge(state: number): number {
    return this.#first[state + 1]!;
  }

  target(edge: number): number {
    return this.#target[edge]!;
  }

  move(edge: number): Move {
    return this.#move[edge]!;
  }

  isProgress(edge: number): boolean {
    return this.#progress[edge] !== 0;
  }
}

function grown<T extends Int32Array | Uint16Array | Uint8Array>(array: T, Type: new (length: number) => T): T {
  const bigger = new Type(array.length * 2);
  bigger.set(array);
  return bigger;
}
