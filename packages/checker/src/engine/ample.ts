import { ModelError } from "./errors.js";
import type { Walker } from "./walker.js";

/** The first task whose next step may go first, alone: a free choice, or a step that the model declares local. */
export function ampleTask(walker: Walker): number | undefined {
  const { local } = walker.model;
  for (let t = 0; t < walker.automata.length; t++) {
    const { step, choices, ready } = walker.nodeOf(t);
    if (step === undefined) continue;
    if (choices > 0) return t;
    if (local?.(walker.model.tasks[t]!.name, step.label) === true && (ready === undefined || ready(t))) return t;
  }
  return undefined;
}

/**
 * Tries the step of `task`, which is declared local, before and after the next step of every other task: both orders have to lead
 * to the same state. Each pair of local states is tried once.
 */
export function conflictOf(walker: Walker, task: number, state: number, compared: Set<string>): ModelError | undefined {
  const { store } = walker;
  const nodeId = store.node(task);
  for (let other = 0; other < walker.automata.length; other++) {
    if (other === task) continue;
    const key = `${task}.${nodeId}|${other}.${store.node(other)}`;
    if (compared.has(key)) continue;
    compared.add(key);
    const first = inOrder(walker, state, [task, other]);
    const second = inOrder(walker, state, [other, task]);
    store.spoil();
    store.load(state);
    if (first === second) continue;
    const { label } = walker.nodeOf(task).step!;
    const { name } = walker.model.tasks[task]!;
    return new ModelError(
      "CHECKER_NOT_LOCAL",
      `step "${label}" of task ${name} is declared local, but it matters whether ${walker.model.tasks[other]!.name} takes "${walker.nodeOf(other).step?.label}" before or after it. Take it out of Model.local`,
      { task: name, step: label },
    );
  }
  return undefined;
}

/** What the state is after two steps in this order: its words, or why it could not be reached. */
function inOrder(walker: Walker, state: number, tasks: readonly number[]): string {
  const { store } = walker;
  store.spoil();
  store.load(state);
  for (const t of tasks) {
    const node = walker.nodeOf(t);
    if (node.step === undefined || node.choices > 0) continue;
    if (node.ready !== undefined && !node.ready(t)) return `${t} waits`;
    try {
      store.setNode(t, walker.automata[t]!.advance(node, node.run(t)));
    } catch {
      return `${t} throws`;
    }
  }
  return store.words().join();
}
