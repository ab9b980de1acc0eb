import { type Path, spinUntil, step, waitFor } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { DeclaredState, explore, type Finding, type Iteration, type Model } from "../../src/index.js";

type Start = (state: {
  get: (at: number) => number;
  set: (at: number, value: number) => number;
}) => () => Path<Iteration>;

/** Tasks over four flags. */
function findings(tasks: Readonly<Record<string, Start>>): Finding[] {
  const state = new DeclaredState();
  const flags = state.field("flags", 1, 4);
  const access = {
    get: (at: number) => flags.get(at),
    set: (at: number, value: number) => {
      flags.set(at, value);
      return 0;
    },
  };
  const model: Model = {
    name: "waits",
    state,
    tasks: Object.entries(tasks).map(([name, start]) => ({ name, start: start(access) })),
  };
  return [...explore(model).findings];
}

const verdicts = (tasks: Readonly<Record<string, Start>>): [string, string][] =>
  findings(tasks).map(({ verdict, what }) => [verdict, what]);

describe("the wait-for graph, beyond locks", () => {
  it("closes through a work item that needs what its flusher has", () => {
    const release: Start = ({ get, set }) =>
      function* () {
        yield step("take the driver's mark", () => set(0, 1));
        yield waitFor("flush_work", () => get(1) === 1);
        yield step("drop the mark", () => set(0, 0));
      };
    const worker: Start = ({ get, set }) =>
      function* () {
        yield waitFor("the mark", () => get(0) === 0);
        yield step("work", () => set(1, 1));
      };

    expect(verdicts({ release, worker })).toEqual([
      ["DEADLOCK", "release waits for flush_work, which needs worker; worker waits for the mark, which needs release"],
    ]);
  });

  it("closes at once when a callback waits for its own end", () => {
    const callback: Start = ({ get, set }) =>
      function* () {
        yield step("invalidate_range_start", () => set(0, 1));
        yield waitFor("mmu_interval_notifier_remove", () => get(0) === 0);
        yield step("invalidate_range_end", () => set(0, 0));
      };

    expect(verdicts({ callback })).toEqual([
      ["DEADLOCK", "callback waits for mmu_interval_notifier_remove, which needs callback"],
    ]);
  });

  it("does not close where nobody will ever wake the waiter: that is a hang", () => {
    const lost: Start = ({ get }) =>
      function* () {
        yield spinUntil("CMD_SYNC", () => get(0) === 1);
      };
    const other: Start = ({ get }) =>
      function* () {
        yield spinUntil("a doorbell", () => get(1) === 1);
      };

    expect(verdicts({ lost, other })).toEqual([["HANG", "lost waits for CMD_SYNC; other waits for a doorbell"]]);
  });

  it("does not close over something that was taken and never given back", () => {
    const taker: Start = ({ set }) =>
      function* () {
        yield step("take", () => set(0, 1));
      };
    const contender: Start = ({ get, set }) =>
      function* () {
        yield spinUntil(
          "take",
          () => get(0) === 0,
          () => set(0, 1),
        );
        yield step("give back", () => set(0, 0));
      };

    const found = verdicts({ taker, one: contender, two: contender }).map(([verdict]) => verdict);
    expect([...new Set(found)]).toEqual(["HANG"]);
  });
});
