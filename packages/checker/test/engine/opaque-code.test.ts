import { Memory, type Path, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { explore, type Iteration, type Model, VerdictError, violation } from "../../src/index.js";

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
