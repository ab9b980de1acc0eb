import type { Memory } from "@mmu-notifier/steps";
import { DeclaredState } from "../engine/declared-state.js";

/** A word of shared state that a step changed. */
export interface Change {
  /** A field, or a word of a segment: "pte[1]", "frames 3.2" (row 3, word 2). */
  readonly where: string;
  readonly before: number;
  readonly after: number;
}

/** All shared state, to be compared. */
export type Snapshot = readonly { readonly name: string; readonly stride: number; readonly words: Int32Array }[];

export function snapshot(state: DeclaredState | Memory): Snapshot {
  if (state instanceof DeclaredState) {
    return state.fields.map((field) => ({
      name: field.name,
      stride: 0,
      words: Int32Array.from({ length: field.length }, (_, i) => field.get(i)),
    }));
  }
  return state.segments.map(({ name, stride, i32, words }) => ({ name, stride, words: i32.slice(0, words) }));
}

/** What differs between two snapshots of one memory; the header rows of segments are left out. */
export function changesBetween(before: Snapshot, after: Snapshot): Change[] {
  const changes: Change[] = [];
  after.forEach(({ name, stride, words }, s) => {
    const old = before[s]?.stride === stride ? before[s].words : new Int32Array(0);
    for (let i = stride; i < Math.max(words.length, old.length); i++) {
      const was = old[i] ?? 0;
      const is = words[i] ?? 0;
      if (was !== is) changes.push({ where: placeOf(name, stride, words.length, i), before: was, after: is });
    }
  });
  return changes;
}

function placeOf(name: string, stride: number, length: number, at: number): string {
  if (stride > 0) return `${name} ${Math.floor(at / stride)}.${at % stride}`;
  return length === 1 ? name : `${name}[${at}]`;
}
