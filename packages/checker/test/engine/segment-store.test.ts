import { Memory, type Path, step, Vectors } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { explore, type Iteration, type Model } from "../../src/index.js";

/** Tasks that allocate and free rows, so that segments grow, shrink and have holes. */
function allocators(tasks: number, rows: number): Model {
  const state = new Memory();
  const frames = state.segment("frames", 4, 1);
  const ballast = state.segment("ballast", 64, 8);
  for (let i = 0; i < 8; i++) ballast.alloc();
  const start = function* (round: number): Path<Iteration> {
    if (round === rows) return null;
    const row = yield step("alloc", (task) => {
      const at = frames.alloc();
      frames.i32[at * 4 + 1] = task + 1;
      return at;
    });
    if (round % 2 === 1) {
      yield step("free", () => {
        frames.free(row);
        return 0;
      });
    }
    return [round + 1];
  };
  return {
    name: "allocators",
    state,
    tasks: Array.from({ length: tasks }, (_, t) => ({ name: `task${t}`, start, locals: [0] })),
  };
}

/** The same search with whole copies of the memory and strings as keys. */
function naive(model: Model): { states: number; transitions: number } {
  const memory = model.state as Memory;
  interface Local {
    readonly locals: readonly number[] | null;
    readonly log: readonly number[];
  }
  const pending = ({ locals, log }: Local, t: number) => {
    if (locals === null) return undefined;
    const path = model.tasks[t]!.start(...locals);
    let next = path.next(0);
    for (const result of log) next = path.next(result);
    return next;
  };
  const normal = (local: Local, t: number): Local => {
    const next = pending(local, t);
    return next?.done === true ? normal({ locals: next.value ?? null, log: [] }, t) : local;
  };
  const canonical = () => {
    for (const { i32, stride } of memory.segments) {
      let row = i32[1]!;
      while (row < i32[0]! && i32[row * stride] !== 0) row++;
      i32[1] = row;
    }
    return memory.save();
  };
  const first = {
    words: canonical(),
    tasks: model.tasks.map(({ locals }, t) => normal({ locals: locals ?? [], log: [] }, t)),
  };
  const seen = new Set([JSON.stringify([[...first.words], first.tasks])]);
  const queue = [first];
  let transitions = 0;
  for (const { words, tasks } of queue) {
    tasks.forEach((local, t) => {
      const next = pending(local, t);
      if (next === undefined || next.done === true) return;
      memory.restore(words);
      if (next.value.ready?.(t) === false) return;
      const result = next.value.run(t);
      transitions++;
      const successor = {
        words: canonical(),
        tasks: tasks.with(t, normal({ locals: local.locals, log: [...local.log, result] }, t)),
      };
      const key = JSON.stringify([[...successor.words], successor.tasks]);
      if (seen.has(key)) return;
      seen.add(key);
      queue.push(successor);
    });
  }
  memory.restore(first.words);
  return { states: seen.size, transitions };
}

describe("states of a memory", () => {
  it("are the same as those of a search that copies everything", () => {
    const model = allocators(3, 2);

    const { states, transitions, findings } = explore(model);

    expect(findings).toEqual([]);
    expect({ states, transitions }).toEqual(naive(allocators(3, 2)));
  });

  it("leave the memory as it was", () => {
    const model = allocators(2, 3);
    const before = (model.state as Memory).save();

    explore(model);

    expect((model.state as Memory).save()).toEqual(before);
  });

  it("stay valid when a list moves to longer rows", () => {
    const build = (capacity: number): Model => {
      const state = new Memory();
      const lists = new Vectors(state, "lists", capacity);
      const list = lists.create();
      const start = function* (value: number, times: number): Path<Iteration> {
        if (times === 0) return null;
        yield step("insert", () => {
          lists.insert(list, lists.length(list), value);
          return 0;
        });
        return [value, times - 1];
      };
      const tasks = [1, 2, 3].map((value) => ({ name: `task${value}`, start, locals: [value, 3] }));
      return { name: "lists", state, tasks };
    };

    const narrow = explore(build(2));
    const wide = explore(build(12));

    expect(narrow.findings).toEqual([]);
    expect([narrow.states, narrow.transitions]).toEqual([wide.states, wide.transitions]);
  });

  it("hold segments that a step adds", () => {
    const state = new Memory();
    const first = state.segment("first", 4);
    const start = function* (): Path<Iteration> {
      yield step("add", () => {
        if (state.segments.length === 1) state.segment("second", 4);
        return state.segments[1]!.alloc();
      });
      yield step("first", () => first.alloc());
      return null;
    };

    const { findings, states } = explore({
      name: "late",
      state,
      tasks: [
        { name: "a", start },
        { name: "b", start },
      ],
    });

    expect(findings).toEqual([]);
    expect(states).toBeGreaterThan(8);
  });
});
