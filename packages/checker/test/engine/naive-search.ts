import { headAt, type Instruction, isProgress, label, type Program, VARIABLES } from "./random-programs.js";

/** Where a task is: the head of its iteration, the results since then, and what is next. */
interface Place {
  readonly head: number;
  readonly log: string;
  readonly pc: number;
  readonly over: boolean;
  /** A choice that is made and not yet stored. */
  readonly picked: number | undefined;
}
interface State {
  readonly shared: readonly number[];
  readonly own: readonly number[];
  readonly places: readonly Place[];
}
interface Edge {
  readonly from: number;
  readonly to: number;
  readonly task: number;
  readonly progress: boolean;
}

/** All that a search has to find out, worked out the slow and obvious way. */
export interface Naive {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** Steps to the nearest state that is forbidden, or in which nobody moves and somebody is not over. */
  readonly forbidden: number | undefined;
  readonly hang: number | undefined;
  /** Executions without progress, of anybody or of single tasks. Takes its time: only for a few hundred states. */
  readonly endless: () => {
    readonly livelock: boolean;
    readonly unfairLivelock: boolean;
    readonly starved: readonly number[];
  };
}

export function naiveSearch(all: readonly Program[], forbidden: readonly number[]): Naive {
  const states: State[] = [];
  const depths: number[] = [];
  const edges: Edge[] = [];
  const known = new Map<string, number>();
  const number = (state: State, depth: number): number => {
    const key = JSON.stringify(state);
    const id = known.get(key);
    if (id !== undefined) return id;
    known.set(key, states.length);
    depths.push(depth);
    return states.push(state) - 1;
  };
  const first: Place = { head: 0, log: "", pc: 0, over: false, picked: undefined };
  number(
    { shared: Array.from({ length: VARIABLES }, () => 0), own: all.map(() => 0), places: all.map(() => first) },
    0,
  );
  for (let from = 0; from < states.length; from++) {
    all.forEach((of, task) => {
      for (const [next, what] of moves(states[from]!, of, task))
        edges.push({
          from,
          to: number(next, depths[from]! + 1),
          task,
          progress: what !== undefined && isProgress(label(what)),
        });
    });
  }
  const moving = new Set(edges.map(({ from }) => from));
  const nearest = (wanted: (state: State, id: number) => boolean): number | undefined => {
    const at = states.findIndex((state, id) => wanted(state, id));
    return at < 0 ? undefined : depths[at];
  };
  const tasks = all.map((_, t) => t);
  const traps = (left: (edge: Edge) => boolean, counts: (task: number) => boolean): number[][] =>
    components(
      states.length,
      edges.filter((edge) => !left(edge)),
    ).filter((trap) => tasks.some((t) => counts(t) && !states[Math.min(...trap)]!.places[t]!.over));
  const isFair = (trap: readonly number[], left: (edge: Edge) => boolean): boolean => {
    const inside = new Set(trap);
    return tasks.every(
      (t) =>
        edges.some((edge) => edge.task === t && !left(edge) && inside.has(edge.from) && inside.has(edge.to)) ||
        trap.some((at) => !edges.some(({ from, task }) => from === at && task === t)),
    );
  };
  return {
    states: states.length,
    transitions: edges.length,
    depth: Math.max(...depths),
    forbidden: nearest(({ shared }) => forbidden.every((v, at) => shared[at] === v)),
    hang: nearest(({ places }, id) => !moving.has(id) && places.some(({ over }) => !over)),
    endless: () => {
      const idle = traps(
        ({ progress }) => progress,
        () => true,
      );
      return {
        livelock: idle.some((trap) => isFair(trap, ({ progress }) => progress)),
        unfairLivelock: idle.length > 0,
        starved: tasks.filter((t) => {
          const left = (edge: Edge): boolean => edge.progress && edge.task === t;
          return (
            edges.some((edge) => left(edge)) && traps(left, (task) => task === t).some((trap) => isFair(trap, left))
          );
        }),
      };
    },
  };
}

function moves({ shared, own, places }: State, of: Program, task: number): [State, Instruction | undefined][] {
  const place = places[task]!;
  if (place.over) return [];
  const now = of.instructions[place.pc]!;
  const at = (to: Place, memory = shared, mine = own): State => ({
    shared: memory,
    own: mine,
    places: places.map((other, t) => (t === task ? to : other)),
  });
  if (now.op === "pick" && place.picked === undefined)
    return [0, 1].map((picked) => [at({ ...place, log: place.log + picked, picked }), undefined]);
  const pc = place.pc + 1;
  const head = headAt(of, pc);
  const log = `${place.log}0`;
  const after: Place =
    head === undefined || head === null
      ? { head: place.head, log, pc, over: head === null, picked: undefined }
      : { head, log: "", pc: head, over: false, picked: undefined };
  const stored = (cell: number, v: number): State =>
    at(
      after,
      shared.map((old, i) => (i === cell ? v : old)),
    );
  switch (now.op) {
    case "wait":
      return shared[now.at] === now.value ? [[at(after), now]] : [];
    case "set":
      return [[stored(now.at, now.value), now]];
    case "add":
      return [[stored(now.at, (shared[now.at]! + 1) % 4), now]];
    case "pick":
      return [[stored(now.at, place.picked!), now]];
    case "own":
      return [
        [
          at(
            after,
            shared,
            own.map((old, t) => (t === task ? (old + 1) % 4 : old)),
          ),
          now,
        ],
      ];
  }
}

/** States that reach each other, by reachability from each: only those with a cycle. */
function components(states: number, edges: readonly Edge[]): number[][] {
  const out: number[][] = Array.from({ length: states }, () => []);
  for (const { from, to } of edges) out[from]!.push(to);
  const reaches = out.map((_, from) => {
    const seen = new Set<number>();
    const left = [from];
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      for (const to of out[at]!) {
        if (seen.has(to)) continue;
        seen.add(to);
        left.push(to);
      }
    }
    return seen;
  });
  const found: number[][] = [];
  const placed = new Set<number>();
  reaches.forEach((to, from) => {
    if (placed.has(from) || !to.has(from)) return;
    const component = [...to].filter((other) => reaches[other]!.has(from));
    for (const other of component) placed.add(other);
    found.push(component);
  });
  return found;
}
