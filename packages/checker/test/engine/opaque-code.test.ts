import { Memory, type Path, Step, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  counterexampleOf,
  DeclaredState,
  explore,
  type Iteration,
  type Model,
  VerdictError,
  violation,
} from "../../src/index.js";

/** A model of one third-party path beside a well-behaved task. */
function beside(start: () => Path<Iteration>): Model {
  const state = new Memory();
  const counters = state.segment("counters", 4);
  const row = counters.alloc() * 4;
  const good = function* (round: number): Path<Iteration> {
    if (round === 3) return null;
    yield step("count", () => ++counters.i32[row + 1]!);
    return [round + 1];
  };
  return {
    name: "opaque",
    state,
    tasks: [
      { name: "driver", start },
      { name: "good", start: good, locals: [0] },
    ],
  };
}

const codes = (model: Model, stepTimeout?: number) =>
  explore(model, stepTimeout === undefined ? {} : { stepTimeout }).findings.map(({ verdict, error }) => [
    verdict,
    error?.code,
  ]);

const nothing = (): number => 0;

describe("third-party code", () => {
  it("that keeps state between its runs is found out", () => {
    let calls = 0;
    const model = beside(function* () {
      yield step(calls++ % 2 === 0 ? "even" : "odd", nothing);
      yield step("then", nothing);
      return null;
    });

    expect(codes(model)).toContainEqual(["HIDDEN-STATE", "CHECKER_HIDDEN_STATE"]);
  });

  it("may change on its way what an earlier step reads: that step sees what it was yielded with", () => {
    const model = beside(function* () {
      const fault = { expects: 0 };
      const expected = yield step("look", () => fault.expects);
      fault.expects = 1;
      if (expected !== 0) yield step("wrong", () => violation("CONTRACT", "fault", "the step looked into its future"));
      return null;
    });

    // "look" runs from four states of the other task, and the path goes on after the first.
    expect(explore(model)).toMatchObject({ findings: [], states: 8 });
  });

  it("that keeps state inside a step is found out", () => {
    let calls = 0;
    const model = beside(function* () {
      yield step("count calls", () => calls++);
      return null;
    });

    expect(codes(model)).toContainEqual(["HIDDEN-STATE", "CHECKER_HIDDEN_STATE"]);
  });

  it("that throws is named with its step, and the others go on", () => {
    const model = beside(function* () {
      yield step("translate", () => {
        throw new TypeError("entry is undefined");
      });
      return null;
    });

    const { findings, states } = explore(model);

    expect(findings[0]).toMatchObject({ verdict: "ERROR", about: "driver", error: { code: "CHECKER_STEP_THREW" } });
    expect(findings[0]!.what).toBe("task driver threw in translate: TypeError: entry is undefined");
    expect(states).toBe(4);
  });

  it("that throws between two steps is named too", () => {
    const model = beside(function* () {
      yield step("first", nothing);
      throw new RangeError("no such page");
    });

    expect(explore(model).findings[0]!.what).toBe(
      "task driver threw between two steps in driver: RangeError: no such page",
    );
  });

  it("that never ends its iteration is stopped", () => {
    const forever = beside(function* () {
      for (;;) yield step("poll", nothing);
    });
    const empty = beside(function* () {
      return [];
    });

    expect(codes(forever)).toContainEqual(["HANG", "CHECKER_ENDLESS_ITERATION"]);
    expect(codes(empty)).toContainEqual(["HANG", "CHECKER_ENDLESS_ITERATION"]);
  });

  it("that loops inside a step or between two is stopped after the time it is given", () => {
    const inside = beside(function* () {
      yield step("spin", () => {
        for (;;);
      });
      return null;
    });
    const between = beside(function* () {
      yield step("last step", nothing);
      for (;;);
    });

    expect(codes(inside, 200)).toContainEqual(["HANG", "CHECKER_STEP_TIMEOUT"]);
    expect(explore(between, { stepTimeout: 200 }).findings[0]!.what).toMatch(
      /^task driver: step "last step", or what its path does/,
    );
  });

  it("gives the same numbers under a timer", () => {
    const model = () =>
      beside(function* () {
        yield step("one", nothing);
        return null;
      });

    expect(explore(model(), { stepTimeout: 5000 })).toEqual(explore(model()));
  });

  it("says what it breaks with a verdict", () => {
    const model = beside(function* () {
      yield step("use", () => violation("UAF", "frame 3", "frame 3 is used after it was freed"));
      return null;
    });

    const [finding] = explore(model).findings;

    expect(finding).toMatchObject({ verdict: "UAF", about: "frame 3", error: { code: "VERDICT_UAF" } });
    expect(finding!.error).toBeInstanceOf(VerdictError);
  });

  it("is held to the invariants of the model", () => {
    const model = beside(function* () {
      yield step("one", nothing);
      return null;
    });
    const { segments } = model.state as Memory;
    const holds = () => segments[0]!.i32[5]! < 2;

    const { findings } = explore({ ...model, invariants: [{ name: "counter stays below 2", verdict: "COST", holds }] });

    expect(findings.map(({ verdict, what, schedule }) => [verdict, what, schedule.stem.length])).toEqual([
      ["COST", '"counter stays below 2" does not hold', 2],
    ]);
  });
});

describe("re-execution", () => {
  /** A driver that keeps the entry it looked up in a variable of its own, and is not told when it changes. */
  const withCache = (rounds = 1): Model => {
    const state = new DeclaredState();
    const entry = state.field("entry", 1);
    const cache: number[] = [];
    const driver = function* (): Path<Iteration> {
      yield step("look up", () => cache.push(entry.get()));
      yield step("use", () =>
        cache.pop() === entry.get() ? 0 : violation("STALE-USE", "the driver's cache", "it is old"),
      );
      return null;
    };
    const kernel = function* (round: number): Path<Iteration> {
      yield step("change", () => {
        entry.set(0, 1);
        return 0;
      });
      return round < rounds ? [round + 1] : null;
    };
    return {
      name: "own cache",
      state,
      tasks: [
        { name: "driver", start: driver },
        { name: "kernel", start: kernel, locals: [1] },
      ],
    };
  };

  it("searches models that keep state elsewhere, and says so", () => {
    const result = explore(withCache(), { rebuild: () => withCache() });

    expect(result).toMatchObject({ reexecuted: true, complete: true, states: 3, depth: 3 });
    expect(result.bounds).toBe("re-executed, no states told apart: complete");
    expect(result.findings.map(({ verdict, schedule }) => [verdict, schedule.stem.length])).toEqual([
      ["HIDDEN-STATE", 1],
      ["STALE-USE", 3],
    ]);
    expect(explore(withCache(), { rebuild: () => withCache() })).toEqual(result);
    expect(counterexampleOf(withCache(), result.findings[1]!).error).toBe("it is old");
  });

  it("is not needed by models that keep none, and not done without a way to build them", () => {
    const honest = () =>
      beside(function* () {
        yield step("one", nothing);
        return null;
      });

    expect(explore(honest(), { rebuild: honest }).reexecuted).toBe(false);
    expect(explore(withCache()).reexecuted).toBe(false);
  });

  it("has bounds", () => {
    const cut = explore(withCache(40), { rebuild: () => withCache(40), maxExecutions: 30 });

    expect([cut.complete, cut.states]).toEqual([false, 30]);
    expect(cut.bounds).toMatch(
      /^re-executed, no states told apart: cut off at 30 executions, with \d interruptions of a task$/,
    );
    expect(explore(withCache(40), { rebuild: () => withCache(40), maxDepth: 2 }).bounds).toContain(
      "cut off at 2 steps",
    );
  });

  it("finds hangs, deadlocks and what is thrown", () => {
    const build = (path: () => Path<Iteration>) => (): Model => {
      let runs = 0;
      const hidden = function* (): Path<Iteration> {
        yield step("hidden", () => runs++);
        return null;
      };
      return {
        name: "m",
        state: new Memory(),
        tasks: [
          { name: "hidden", start: hidden },
          { name: "other", start: path },
        ],
      };
    };
    const found = (path: () => Path<Iteration>) =>
      explore(build(path)(), { rebuild: build(path) }).findings.map(({ verdict, what }) => [verdict, what]);

    expect(
      found(function* () {
        yield new Step("a doorbell", nothing, () => false);
        return null;
      }),
    ).toContainEqual(["HANG", "other waits for a doorbell"]);
    expect(
      found(function* () {
        yield step("first", nothing);
        throw new RangeError("no such page");
      }),
    ).toContainEqual(["ERROR", "task other threw in other: RangeError: no such page"]);
  });
});
