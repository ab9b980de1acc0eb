import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { explore, type Exploration, type ExploreOptions } from "../../src/index.js";
import { naiveSearch } from "./naive-search.js";
import { modelOf, type Program, program, programs, VARIABLES } from "./random-programs.js";

const forbidden = fc.array(fc.nat(3), { minLength: VARIABLES, maxLength: VARIABLES });
/** The slow search takes every pair of states: larger models say no more. */
const SMALL = 60;

const run = (all: readonly Program[], rule: readonly number[], options: ExploreOptions = {}): Exploration =>
  explore(modelOf(all, rule), options);
/** A hang whose cause is a cycle of waits is called a deadlock. */
const nearest = ({ findings }: Exploration, verdict: "CONTRACT" | "HANG"): number | undefined => {
  const called = verdict === "HANG" ? ["HANG", "DEADLOCK"] : [verdict];
  const lengths = findings
    .filter((finding) => called.includes(finding.verdict))
    .map(({ schedule }) => schedule.stem.length);
  return lengths.length === 0 ? undefined : Math.min(...lengths);
};

describe("the search, against a slow and obvious one, on random programs", () => {
  it("finds the same states, transitions, depth, broken rules and hangs, by the shortest way", () => {
    fc.assert(
      fc.property(programs, forbidden, (all, rule) => {
        const naive = naiveSearch(all, rule);
        const found = run(all, rule);

        expect(found).toMatchObject({
          states: naive.states,
          transitions: naive.transitions,
          depth: naive.depth,
          bounds: "complete",
        });
        expect(nearest(found, "CONTRACT")).toBe(naive.forbidden);
        expect(nearest(found, "HANG")).toBe(naive.hang);
        expect(run(all, rule)).toEqual(found);
      }),
      { numRuns: 300 },
    );
  });

  it("finds the same livelocks and starvation under weak fairness", () => {
    fc.assert(
      fc.property(programs, forbidden, (all, rule) => {
        const naive = naiveSearch(all, rule);
        fc.pre(naive.states <= SMALL);
        const { livelock, unfairLivelock, starved } = naive.endless();
        const { findings } = run(all, rule, { liveness: "task" });
        const has = (verdict: string, severity: string): boolean =>
          findings.some((finding) => finding.verdict === verdict && finding.severity === severity);

        expect(has("LIVELOCK", "error")).toBe(livelock);
        if (livelock) return;
        expect(has("LIVELOCK", "warning")).toBe(unfairLivelock);
        expect(findings.filter(({ verdict }) => verdict === "STARVATION").map(({ about }) => about)).toEqual(
          starved.map((t) => `t${t}`),
        );
      }),
      { numRuns: 400 },
    );
  });

  it("keeps every verdict under partial-order reduction", () => {
    fc.assert(
      fc.property(programs, forbidden, (all, rule) => {
        const full = run(all, rule);
        const reduced = run(all, rule, { partialOrder: true });

        expect(reduced.states).toBeLessThanOrEqual(full.states);
        for (const verdict of ["CONTRACT", "HANG"] as const)
          expect(nearest(reduced, verdict) === undefined).toBe(nearest(full, verdict) === undefined);
        expect(reduced.findings.filter(({ error }) => error !== undefined)).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });

  it("keeps every verdict and its shortest way under symmetry", () => {
    fc.assert(
      fc.property(program, fc.integer({ min: 2, max: 3 }), forbidden, (of, tasks, rule) => {
        const all = Array.from({ length: tasks }, () => of);
        const full = run(all, rule);
        const reduced = run(all, rule, { symmetry: true });

        expect(reduced.states).toBeLessThanOrEqual(full.states);
        expect(reduced.states).toBeGreaterThanOrEqual(full.states / 6);
        expect(reduced.depth).toBe(full.depth);
        for (const verdict of ["CONTRACT", "HANG"] as const)
          expect(nearest(reduced, verdict)).toBe(nearest(full, verdict));
      }),
      { numRuns: 200 },
    );
  });

  it("says where it was cut off", () => {
    fc.assert(
      fc.property(programs, forbidden, fc.nat(20), (all, rule, bound) => {
        const full = run(all, rule);
        const cut = run(all, rule, { maxDepth: bound });

        if (bound > full.depth) expect(cut).toEqual(full);
        else expect([cut.complete, cut.bounds]).toEqual([false, `cut off at ${bound} steps`]);
      }),
      { numRuns: 100 },
    );
  });
});
