import type { Finding } from "../engine/exploration.js";
import type { Graph } from "../engine/graph.js";
import { taskOf } from "../engine/move.js";
import type { Trail } from "../engine/trail.js";
import type { Walker } from "../engine/walker.js";
import { cyclicComponents } from "./components.js";
import { cycleIn, type Fairness, isFair, type Trap } from "./fair-cycle.js";

const PROGRESS = "progress: whoever tries again and again gets through in the end, if nobody is put off for ever";

interface Found {
  readonly entry: number;
  readonly trap: Trap;
}

/**
 * Executions that go on for ever without progress: of anybody (LIVELOCK), or of one task that makes progress elsewhere
 * (STARVATION). What only an unfair scheduler can do is a warning.
 */
export function livelocks(walker: Walker, graph: Graph, trail: Trail, kind: "task" | "cpu"): Finding[] {
  const { tasks } = walker.model;
  const cpus = [...new Set(tasks.map(({ name, cpu }) => cpu ?? name))];
  const fairness: Fairness = tasks.map(({ name, cpu }, t) => (kind === "task" ? t : cpus.indexOf(cpu ?? name)));
  const lasso = ({ entry, trap }: Found, fair: boolean) => ({
    stem: trail.movesTo(entry),
    cycle: cycleIn(graph, trap, entry, fair ? fairness : undefined),
  });

  const anybody = search(
    walker,
    graph,
    fairness,
    (edge) => graph.isProgress(edge),
    () => true,
  );
  if (anybody.fair !== undefined) {
    const who = namesIn(walker, graph, anybody.fair);
    const what = `${goesOn(who)} for ever and nobody makes progress`;
    return [
      {
        verdict: "LIVELOCK",
        about: who.join(", "),
        what,
        rule: PROGRESS,
        severity: "error",
        schedule: lasso(anybody.fair, true),
      },
    ];
  }
  const findings: Finding[] = [];
  for (const t of progressing(graph, tasks.length)) {
    const alone = search(
      walker,
      graph,
      fairness,
      (edge) => graph.isProgress(edge) && taskOf(graph.move(edge)) === t,
      (task) => task === t,
    );
    if (alone.fair === undefined) continue;
    const what = `${goesOn(namesIn(walker, graph, alone.fair))} for ever and ${tasks[t]!.name} makes no progress`;
    findings.push({
      verdict: "STARVATION",
      about: tasks[t]!.name,
      what,
      severity: "error",
      schedule: lasso(alone.fair, true),
    });
  }
  if (anybody.unfair !== undefined) {
    const who = namesIn(walker, graph, anybody.unfair);
    findings.push({
      verdict: "LIVELOCK",
      about: who.join(", "),
      what: `bounded only by fairness: ${who.join(", ")} can go on without progress as long as nobody else is scheduled`,
      severity: "warning",
      schedule: lasso(anybody.unfair, false),
    });
  }
  return findings;
}

/** The traps that are met first, with and without fairness, in which one of the tasks that `counts` is not over. */
function search(
  walker: Walker,
  graph: Graph,
  fairness: Fairness,
  left: (edge: number) => boolean,
  counts: (task: number) => boolean,
): { fair?: Found; unfair?: Found } {
  const found: { fair?: Found; unfair?: Found } = {};
  for (const component of cyclicComponents(graph, left)) {
    const entry = component.reduce((a, b) => Math.min(a, b));
    if (found.fair !== undefined && found.fair.entry < entry && (found.unfair?.entry ?? Infinity) < entry) continue;
    if (!someoneWorks(walker, entry, counts)) continue;
    const here: Found = { entry, trap: { states: new Set(component), left } };
    if (entry < (found.fair?.entry ?? Infinity) && isFair(graph, here.trap, fairness)) found.fair = here;
    if (entry < (found.unfair?.entry ?? Infinity)) found.unfair = here;
  }
  return found;
}

/** True when a task that `counts` still has something to do in `state`. */
function someoneWorks(walker: Walker, state: number, counts: (task: number) => boolean): boolean {
  walker.store.load(state);
  return walker.automata.some(({ task }, t) => {
    const node = walker.nodeOf(t);
    return counts(t) && node.step !== undefined && !(task.serves === true && node.log.length === 0);
  });
}

const goesOn = (who: readonly string[]): string => `${who.join(", ")} ${who.length === 1 ? "goes" : "go"} on`;

function progressing(graph: Graph, tasks: number): number[] {
  const found = new Set<number>();
  for (let edge = 0; edge < graph.edges && found.size < tasks; edge++)
    if (graph.isProgress(edge)) found.add(taskOf(graph.move(edge)));
  return [...found].sort((a, b) => a - b);
}

/** The tasks that move in a trap. */
function namesIn(walker: Walker, graph: Graph, { trap, entry }: Found): string[] {
  const moving = new Set(cycleIn(graph, trap, entry, undefined).map((m) => taskOf(m)));
  return [...moving].sort((a, b) => a - b).map((t) => walker.model.tasks[t]!.name);
}
