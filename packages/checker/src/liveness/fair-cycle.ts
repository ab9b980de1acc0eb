import type { Graph } from "../engine/graph.js";
import { type Move, taskOf } from "../engine/move.js";

/** Who has to move now and then: the number of the group of each task. */
export type Fairness = readonly number[];

/** A part of the graph that an execution can stay in for ever. */
export interface Trap {
  readonly states: ReadonlySet<number>;
  /** Edges that the execution does not take. */
  readonly left: (edge: number) => boolean;
}

/** True when a group has no move at all in `state`. */
function isDisabled(graph: Graph, state: number, group: number, fairness: Fairness): boolean {
  for (let edge = graph.firstEdge(state); edge < graph.endEdge(state); edge++) {
    if (fairness[taskOf(graph.move(edge))] === group) return false;
  }
  return true;
}

function stays(graph: Graph, { states, left }: Trap, edge: number): boolean {
  return !left(edge) && states.has(graph.target(edge));
}

/**
 * True when an execution can stay in the trap although every group that could move for ever does move: each group moves in it, or
 * can not move in some state of it.
 */
export function isFair(graph: Graph, trap: Trap, fairness: Fairness): boolean {
  const unmet = new Set(fairness);
  for (const state of trap.states) {
    for (let edge = graph.firstEdge(state); edge < graph.endEdge(state); edge++) {
      if (stays(graph, trap, edge)) unmet.delete(fairness[taskOf(graph.move(edge))]!);
    }
    for (const group of unmet) if (isDisabled(graph, state, group, fairness)) unmet.delete(group);
    if (unmet.size === 0) return true;
  }
  return false;
}

/**
 * A short cycle from `entry` back to it inside the trap. With `fairness` it takes a move of every group, or passes a state where
 * the group has none.
 */
export function cycleIn(graph: Graph, trap: Trap, entry: number, fairness: Fairness | undefined): Move[] {
  const unmet = new Set(fairness ?? []);
  const cycle: Move[] = [];
  let at = entry;
  const meet = (state: number): void => {
    for (const group of unmet) if (isDisabled(graph, state, group, fairness!)) unmet.delete(group);
  };
  const follow = (way: readonly number[]): void => {
    for (const edge of way) {
      const m = graph.move(edge);
      cycle.push(m);
      if (fairness !== undefined) unmet.delete(fairness[taskOf(m)]!);
      at = graph.target(edge);
      meet(at);
    }
  };
  meet(entry);
  while (unmet.size > 0) {
    follow(
      shortest(graph, trap, at, (edge) => {
        if (unmet.has(fairness![taskOf(graph.move(edge))]!)) return true;
        const target = graph.target(edge);
        return [...unmet].some((group) => isDisabled(graph, target, group, fairness!));
      }),
    );
  }
  if (at !== entry || cycle.length === 0) follow(shortest(graph, trap, at, (edge) => graph.target(edge) === entry));
  return cycle;
}

/** The shortest way inside the trap that ends with an edge that is `wanted`. */
function shortest(graph: Graph, trap: Trap, from: number, wanted: (edge: number) => boolean): number[] {
  const cameBy = new Map<number, { readonly edge: number; readonly from: number }>();
  const queue = [from];
  const reached = new Set(queue);
  for (const state of queue) {
    for (let edge = graph.firstEdge(state); edge < graph.endEdge(state); edge++) {
      if (!stays(graph, trap, edge)) continue;
      if (wanted(edge)) {
        const way = [edge];
        for (let at = state; at !== from; at = cameBy.get(at)!.from) way.unshift(cameBy.get(at)!.edge);
        return way;
      }
      const target = graph.target(edge);
      if (reached.has(target)) continue;
      reached.add(target);
      cameBy.set(target, { edge, from: state });
      queue.push(target);
    }
  }
  return [];
}
