import type { DeclaredState } from "./declared-state.js";
import { PackedRows } from "./packed-rows.js";
import type { StateStore } from "./state-store.js";

const FIRST_NODE_BITS = 6;

/** States of a {@link DeclaredState}: its fields and the tasks' local states in one packed row. */
export class PackedStore implements StateStore {
  readonly #rows: PackedRows;
  /** Number of the first task's node among the row's fields. */
  readonly #nodes: number;

  constructor(state: DeclaredState, tasks: number) {
    const widths = state.widths;
    this.#nodes = widths.length;
    let bound = false;
    this.#rows = new PackedRows([...widths, ...Array.from({ length: tasks }, () => FIRST_NODE_BITS)], () => {
      if (bound) state.rebind();
    });
    state.bind(this.#rows);
    bound = true;
  }

  get count(): number {
    return this.#rows.count;
  }

  get bytes(): number {
    return this.#rows.bytes;
  }

  load(id: number): void {
    this.#rows.load(id);
  }

  reload(): void {
    this.#rows.reload();
  }

  commit(): number {
    return this.#rows.commit();
  }

  /** Makes the field of a task's node wide enough for `node`. */
  fit(task: number, node: number): void {
    const kept = this.node(task);
    this.setNode(task, node);
    this.setNode(task, kept);
  }

  words(): Int32Array {
    return this.#rows.row.slice();
  }

  setRow(row: Int32Array): void {
    this.#rows.row.set(row);
  }

  spoil(): void {
    // Rows are restored whole; there is nothing to forget.
  }

  node(task: number): number {
    return this.#rows.get(this.#nodes + task);
  }

  setNode(task: number, node: number): void {
    this.#rows.set(this.#nodes + task, node);
  }
}
