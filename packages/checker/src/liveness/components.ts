import type { Graph } from "../engine/graph.js";

/**
 * Strongly connected components of the explored graph without the edges that `left` leaves out, by Tarjan's algorithm without
 * recursion. Only those with a cycle are returned, each as the list of its states.
 */
export function* cyclicComponents(graph: Graph, left: (edge: number) => boolean): Generator<Int32Array> {
  const { states } = graph;
  const index = new Int32Array(states);
  const low = new Int32Array(states);
  const onStack = new Uint8Array(states);
  const next = new Int32Array(states);
  const stack = new Int32Array(states);
  const calls = new Int32Array(states);
  let stackTop = 0;
  let counter = 0;
  for (let root = 0; root < states; root++) {
    if (index[root] !== 0) continue;
    let depth = 0;
    const enter = (state: number): void => {
      index[state] = low[state] = ++counter;
      next[state] = graph.firstEdge(state);
      stack[stackTop++] = state;
      onStack[state] = 1;
      calls[depth++] = state;
    };
    enter(root);
    while (depth > 0) {
      const state = calls[depth - 1]!;
      const edge = next[state]!;
      if (edge < graph.endEdge(state)) {
        next[state] = edge + 1;
        const target = graph.target(edge);
        // What was not expanded has no way on, so it is on no cycle.
        if (left(edge) || target >= states) continue;
        if (index[target] === 0) enter(target);
        else if (onStack[target] === 1) low[state] = Math.min(low[state]!, index[target]!);
        continue;
      }
      depth--;
      if (depth > 0) {
        const caller = calls[depth - 1]!;
        low[caller] = Math.min(low[caller]!, low[state]!);
      }
      if (low[state] !== index[state]) continue;
      let from = stackTop;
      do onStack[stack[--from]!] = 0;
      while (stack[from] !== state);
      const component = stack.slice(from, stackTop);
      stackTop = from;
      if (component.length > 1 || hasLoop(graph, state, left)) yield component;
    }
  }
}

function hasLoop(graph: Graph, state: number, left: (edge: number) => boolean): boolean {
  for (let edge = graph.firstEdge(state); edge < graph.endEdge(state); edge++)
    if (graph.target(edge) === state && !left(edge)) return true;
  return false;
}
