import type { Lock } from "@mmu-notifier/steps";
import type { Node } from "./automaton.js";
import type { Verdict } from "./verdict.js";
import { wakersOf } from "./wait-graph.js";
import type { Walker } from "./walker.js";

/** What a finding is about, and what happens. */
export interface Found {
  readonly about: string;
  readonly what: string;
}

function same(a: Lock, b: Lock): boolean {
  return a === b || (a.segment === b.segment && a.at === b.at);
}

/** What `node` waits for, if that is a lock. */
function wanted(node: Node): Lock | undefined {
  const effect = node.step?.effect;
  return effect?.kind === "acquire" ? effect.lock : undefined;
}

/** Tasks that hold `lock` in the state in work, by what their steps took. */
function holders(walker: Walker, lock: Lock): number[] {
  return walker.automata.map((_, t) => t).filter((t) => walker.nodeOf(t).held.some((held) => same(held, lock)));
}

function isBlocked(walker: Walker, task: number): boolean {
  const { step, ready } = walker.nodeOf(task);
  return step !== undefined && ready !== undefined && !ready(task);
}

/**
 * The cycle of the wait-for graph that `task` closes, if there is one: everybody on it waits for a lock that the next one holds,
 * whatever the other tasks do.
 */
export function lockCycleFrom(walker: Walker, task: number): Found | undefined {
  const visit = (at: number, way: readonly number[]): readonly number[] | undefined => {
    const lock = wanted(walker.nodeOf(at));
    if (lock === undefined || !isBlocked(walker, at)) return undefined;
    for (const holder of holders(walker, lock)) {
      if (holder === task) return [...way, at];
      if (way.includes(holder)) continue;
      const cycle = visit(holder, [...way, at]);
      if (cycle !== undefined) return cycle;
    }
    return undefined;
  };
  const cycle = visit(task, []);
  if (cycle === undefined) return undefined;
  // The same cycle is met from each of its tasks: begin with the lowest.
  const first = cycle.indexOf(Math.min(...cycle));
  const waits = [...cycle.slice(first), ...cycle.slice(0, first)].map((t) => waitOf(walker, t));
  return { about: wanted(walker.nodeOf(Math.min(...cycle)))!.name, what: waits.join("; ") };
}

/**
 * What holds everybody up in state `state`, where nobody can move; undefined when only servers wait for work.
 *
 * @param circles what was found before about waits without a lock, by the local states of the tasks.
 */
export function deadlockAt(
  walker: Walker,
  state: number,
  circles: Map<string, Found | undefined>,
): (Found & { readonly verdict: Verdict }) | undefined {
  const stuck = walker.automata.flatMap(({ task }, t) => {
    const node = walker.nodeOf(t);
    const waits = node.step !== undefined && !(task.serves === true && node.log.length === 0);
    return waits ? [t] : [];
  });
  const [first] = stuck;
  if (first === undefined) return undefined;
  for (const t of stuck) {
    const cycle = lockCycleFrom(walker, t);
    if (cycle !== undefined) return { verdict: "DEADLOCK", ...cycle };
  }
  const left = stuck.find((t) => waitsForEver(walker, t));
  if (left !== undefined)
    return { verdict: "DEADLOCK", about: wanted(walker.nodeOf(left))!.name, what: waitOf(walker, left) };
  const situation = walker.automata.map((_, t) => walker.store.node(t)).join();
  if (!circles.has(situation)) circles.set(situation, circleOf(walker, stuck, state));
  const circle = circles.get(situation);
  if (circle !== undefined) return { verdict: "DEADLOCK", ...circle };
  // Who was stopped by an error keeps others waiting: that is one finding, not two.
  if (walker.automata.some((_, t) => walker.nodeOf(t).fault !== undefined)) return undefined;
  return {
    // Who sleeps is woken by another task, and no other moves. Hardware that is polled may answer by itself, and does not.
    verdict: stuck.some((t) => walker.nodeOf(t).step!.effect === undefined) ? "HANG" : "DEADLOCK",
    about: walker.nodeOf(first).step!.label,
    what: stuck.map((t) => waitOf(walker, t)).join("; "),
  };
}

/** A cycle of the wait-for graph with waits that are for no lock. */
function circleOf(walker: Walker, stuck: readonly number[], state: number): Found | undefined {
  const waitsFor = new Map<number, readonly number[]>();
  for (const t of stuck) {
    const lock = wanted(walker.nodeOf(t));
    waitsFor.set(t, lock === undefined ? wakersOf(walker, t, stuck, state) : holders(walker, lock));
  }
  for (const first of stuck) {
    const way = wayBack(waitsFor, first);
    if (way === undefined) continue;
    const about = way.map((t) => wanted(walker.nodeOf(t))?.name).find((name) => name !== undefined);
    return {
      about: about ?? walker.nodeOf(first).step!.label,
      what: way
        .map((t, at) => {
          const next = walker.model.tasks[way[(at + 1) % way.length]!]!.name;
          return wanted(walker.nodeOf(t)) === undefined
            ? `${waitOf(walker, t)}, which needs ${next}`
            : waitOf(walker, t);
        })
        .join("; "),
    };
  }
  return undefined;
}

/** The shortest way from a task back to itself. */
function wayBack(waitsFor: ReadonlyMap<number, readonly number[]>, first: number): number[] | undefined {
  const ways: number[][] = [[first]];
  const reached = new Set<number>();
  for (const way of ways) {
    for (const next of waitsFor.get(way.at(-1)!) ?? []) {
      if (next === first) return way;
      if (reached.has(next)) continue;
      reached.add(next);
      ways.push([...way, next]);
    }
  }
  return undefined;
}

/** True when a task that is over has left the lock that `task` waits for. */
function waitsForEver(walker: Walker, task: number): boolean {
  const lock = wanted(walker.nodeOf(task));
  return lock !== undefined && holders(walker, lock).some((t) => walker.nodeOf(t).fault?.code === "LOCK_LEFT_HELD");
}

/** "cpu0 waits in munmap for mmap_lock, held by cpu1". */
function waitOf(walker: Walker, task: number): string {
  const node = walker.nodeOf(task);
  const lock = wanted(node);
  const by = lock === undefined ? [] : holders(walker, lock).map((t) => walker.model.tasks[t]!.name);
  const where = node.functions.length === 0 ? "" : ` in ${node.functions.join(" -> ")}`;
  return `${walker.model.tasks[task]!.name} waits${where} for ${node.step!.label}${by.length === 0 ? "" : `, held by ${by.join(" and ")}`}`;
}
