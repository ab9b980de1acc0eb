import { onlyWaits } from "@mmu-notifier/steps";
import type { StateStore } from "./state-store.js";
import type { Walker } from "./walker.js";

/** Steps that a task is let run on to see whom it would wake. */
const LONGEST = 500;

/**
 * For a task that waits for something that is no lock (a callback's end, a work item, SRCU readers, memory): the tasks of `stuck` that
 * would wake it, if only they could go on. Found by trying: each is let past its own wait, alone.
 */
export function wakersOf(walker: Walker, waiter: number, stuck: readonly number[], state: number): number[] {
  const { store } = walker;
  const { ready } = walker.nodeOf(waiter);
  if (ready === undefined) return [];
  const wakers = stuck.filter((t) => wouldWake(walker, t, () => ready(waiter)));
  back(store, state);
  return wakers;

  function wouldWake(by: Walker, t: number, isAwake: () => boolean): boolean {
    back(store, state);
    const automaton = by.automata[t]!;
    const { step } = by.nodeOf(t);
    // What takes something, but no lock, would give it back: that says nothing about who has it now.
    if (step === undefined || (step.effect?.kind !== "acquire" && !onlyWaits(step))) return false;
    try {
      for (let steps = 0; steps < LONGEST; steps++) {
        const node = by.nodeOf(t);
        if (node.step === undefined || (steps > 0 && node.ready !== undefined && !node.ready(t))) return false;
        const result = node.choices > 0 ? 0 : node.run(t);
        store.setNode(t, automaton.advance(node, result));
        if (isAwake()) return true;
      }
    } catch {
      // What throws wakes nobody.
    }
    return false;
  }
}

function back(store: StateStore, state: number): void {
  store.spoil();
  store.load(state);
}
