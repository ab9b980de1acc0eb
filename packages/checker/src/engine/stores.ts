import type { Memory } from "@mmu-notifier/steps";
import { DeclaredState } from "./declared-state.js";
import { PackedStore } from "./packed-store.js";
import { SegmentStore } from "./segment-store.js";
import type { StateStore } from "./state-store.js";

/** The store for a model's memory. */
export function createStore(state: DeclaredState | Memory, tasks: number): StateStore {
  return state instanceof DeclaredState ? new PackedStore(state, tasks) : new SegmentStore(state, tasks);
}
