import type { Memory, Segment } from "@mmu-notifier/steps";
import { ComponentTable } from "./component-table.js";
import { PackedRows } from "./packed-rows.js";
import type { StateStore } from "./state-store.js";

const FIRST_BITS = 4;
/** Words 0 and 1 of a segment: rows in use, and where the search for a free row begins. */
const USED = 0;
const LOWEST_FREE = 1;

/**
 * States of a {@link Memory}. The words of each segment are interned; a state is the row of their numbers and the tasks' local
 * states. Only segments that differ are restored, and only those that a step changed are looked up.
 */
export class SegmentStore implements StateStore {
  readonly #memory: Memory;
  readonly #tasks: number;
  readonly #segments: Segment[] = [];
  readonly #components: ComponentTable[] = [];
  /** The component that each segment's words were when last looked at; -1 is unknown. */
  #loaded = new Int32Array(0);
  /** The component that the row in work has for each segment. */
  #inRow = new Int32Array(0);
  /**
   * The words of the component in {@link #loaded}. Comparing with them stays in the cache; the tables of all components, of which
   * every state has others, do not.
   */
  readonly #copies: Int32Array[] = [];
  readonly #rows: PackedRows;

  constructor(memory: Memory, tasks: number) {
    this.#memory = memory;
    this.#tasks = tasks;
    for (const segment of memory.segments) this.#know(segment);
    this.#rows = new PackedRows(Array.from({ length: tasks + memory.segments.length }, () => FIRST_BITS));
  }

  get count(): number {
    return this.#rows.count;
  }

  get bytes(): number {
    return this.#components.reduce((sum, { bytes }) => sum + bytes, this.#rows.bytes);
  }

  load(id: number): void {
    this.#rows.load(id);
    this.#restore();
  }

  reload(): void {
    this.#rows.reload();
    this.#restore();
  }

  commit(): number {
    this.#describe();
    return this.#rows.commit();
  }

  /** Writes the components of the working memory into the row in work. */
  #describe(): void {
    const { segments } = this.#memory;
    if (segments.length > this.#segments.length) this.#adopt();
    for (let s = 0; s < segments.length; s++) {
      const segment = segments[s]!;
      if (segment !== this.#segments[s]) this.#replace(s, segment);
      const component = this.#lookUp(s, segment);
      if (component === this.#inRow[s]) continue;
      this.#rows.set(this.#tasks + s, component);
      this.#inRow[s] = component;
    }
  }

  words(): Int32Array {
    this.#describe();
    return this.#rows.row.slice();
  }

  spoil(): void {
    this.#loaded.fill(-1);
  }

  /** Notes that a segment's words are a component. */
  #remember(s: number, component: number, { i32, words }: Segment): void {
    this.#loaded[s] = component;
    let copy = this.#copies[s]!;
    if (copy.length < words) this.#copies[s] = copy = new Int32Array(i32.length);
    for (let i = 0; i < words; i++) copy[i] = i32[i]!;
  }

  node(task: number): number {
    return this.#rows.get(task);
  }

  setNode(task: number, node: number): void {
    this.#rows.set(task, node);
  }

  /** The component that a segment's words are. */
  #lookUp(s: number, segment: Segment): number {
    const { i32, words } = segment;
    const loaded = this.#loaded[s]!;
    const copy = this.#copies[s]!;
    // What is stored is settled: words that are equal are settled too. Word 0 says how many there are.
    let i = 0;
    while (i < words && copy[i] === i32[i]) i++;
    if (i === words && loaded >= 0) return loaded;
    settle(segment);
    const component = this.#components[s]!.intern(i32, words);
    this.#remember(s, component, segment);
    return component;
  }

  /** Makes the working memory what the row in work says. */
  #restore(): void {
    for (let s = 0; s < this.#segments.length; s++) {
      const wanted = this.#rows.get(this.#tasks + s);
      this.#inRow[s] = wanted;
      if (this.#loaded[s] === wanted) continue;
      const segment = this.#segments[s]!;
      this.#components[s]!.copyTo(wanted, segment);
      this.#remember(s, wanted, segment);
    }
  }

  #know(segment: Segment): void {
    this.#segments.push(segment);
    this.#components.push(new ComponentTable());
    this.#copies.push(new Int32Array(segment.i32.length));
    this.#loaded = Int32Array.of(...this.#loaded, -1);
    this.#inRow = Int32Array.of(...this.#inRow, 0);
  }

  /** A step added segments: in all states before they were empty. */
  #adopt(): void {
    for (const segment of this.#memory.segments.slice(this.#segments.length)) {
      this.#know(segment);
      const empty = new Int32Array(segment.stride);
      empty[USED] = 1;
      empty[LOWEST_FREE] = 1;
      this.#components.at(-1)!.intern(empty, empty.length);
    }
    this.#rows.extend(this.#tasks + this.#segments.length, FIRST_BITS);
  }

  /** A segment was exchanged for one with longer rows: what is stored gets longer rows too. */
  #replace(s: number, segment: Segment): void {
    this.#components[s]!.restride(this.#segments[s]!.stride, segment.stride);
    this.#segments[s] = segment;
    this.#loaded[s] = -1;
  }
}

/** Moves the mark of the lowest free row up to a row that is free, so that equal situations have equal words. */
function settle(segment: Segment): void {
  const { i32, stride } = segment;
  const used = i32[USED]!;
  let row = i32[LOWEST_FREE]!;
  while (row < used && i32[row * stride] !== 0) row++;
  i32[LOWEST_FREE] = row;
}
