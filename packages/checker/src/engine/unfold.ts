import { MmuNotifierError } from "@mmu-notifier/steps";
import { type Move, taskOf } from "./move.js";
import type { Symmetry } from "./symmetry.js";
import type { Walker } from "./walker.js";

/**
 * Turns a way through states that stand for others into moves of the model itself: from the real state it takes the move whose
 * outcome the next state of the way stands for. Call it after the search: it adds real states to the store.
 *
 * @param failing the move that throws at the end, in the last state of the way.
 */
export function unfold(walker: Walker, symmetry: Symmetry, way: readonly number[], failing: Move | undefined): Move[] {
  const { store } = walker;
  const moves: Move[] = [];
  let real = way[0]!;
  for (const wanted of way.slice(1)) {
    store.load(real);
    const taken = walker.moves().find((m) => standsFor(walker, symmetry, real, m) === wanted);
    if (taken === undefined) break;
    moves.push(taken);
    store.load(real);
    walker.take(taken);
    real = store.commit();
  }
  if (failing === undefined) return moves;
  store.load(real);
  const label = walker.nodeOf(taskOf(failing)).step?.label;
  const throwing = walker.moves().filter((m) => standsFor(walker, symmetry, real, m) === undefined);
  store.load(real);
  const same = throwing.find((m) => walker.nodeOf(taskOf(m)).step?.label === label) ?? throwing[0];
  return same === undefined ? moves : [...moves, same];
}

/** The state that stands for the outcome of a move, or undefined when the move throws. */
function standsFor(walker: Walker, symmetry: Symmetry, real: number, m: Move): number | undefined {
  walker.store.load(real);
  try {
    walker.take(m);
  } catch (error) {
    if (error instanceof MmuNotifierError) return undefined;
    throw error;
  }
  symmetry.canonicalise();
  return walker.store.commit();
}
