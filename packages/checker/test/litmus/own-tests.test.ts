import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { litmusFromHerd, type LitmusRules, type Mutant, MUTANTS, runLitmus } from "../../src/index.js";

const folder = new URL("../../litmus/", import.meta.url);
const tests = readdirSync(folder)
  .filter((file) => file.endsWith(".litmus"))
  .sort()
  .map((file) => ({ file, test: litmusFromHerd(readFileSync(new URL(file, folder), "utf8")) }));

const outcomes = (rules: LitmusRules): Map<string, string[]> =>
  new Map(tests.map(({ test }) => [test.name, runLitmus(test, rules).outcomes.map((outcome) => outcome.join("; "))]));

/** Tests that a rule changes, by what it does to their outcomes. */
function changedBy(rules: LitmusRules): { extra: string[]; lost: string[] } {
  const right = outcomes({});
  const extra: string[] = [];
  const lost: string[] = [];
  for (const [name, wrong] of outcomes(rules)) {
    if (wrong.some((outcome) => !right.get(name)!.includes(outcome))) extra.push(name);
    if (right.get(name)!.some((outcome) => !wrong.includes(outcome))) lost.push(name);
  }
  return { extra, lost };
}

describe("our litmus tests", () => {
  it.each(tests)("$file ends as it expects", ({ file, test }) => {
    expect(`${test.name}.litmus`).toBe(file);
    expect(runLitmus(test).verdict).toBe(test.expected);
  });

  it.each<[Mutant, "extra" | "lost"]>([
    ["invalidation-has-no-effect", "extra"],
    ["broadcast-stays-local", "extra"],
    ["dsb-does-not-wait", "extra"],
    ["no-tlb", "lost"],
    ["read-only-is-never-cached", "lost"],
    ["upgrade-drops-weaker-entries", "lost"],
    ["invalidation-flushes-everything", "lost"],
    ["invalid-is-cached", "extra"],
    ["cached-must-be-used", "lost"],
  ])("notice the wrong rule %s", (mutant, how) => {
    expect(changedBy({ mutant })[how]).not.toEqual([]);
  });

  it("cover every mutant", () => {
    expect(MUTANTS).toHaveLength(9);
  });

  it("are the same with a notifier that forwards everything as with broadcasts", () => {
    expect(changedBy({ agents: "notifier" })).toEqual({ extra: [], lost: [] });
  });

  it("break exactly where an upgrade is invalidated, when the driver filters upgrades", () => {
    expect(changedBy({ agents: "filtered" }).extra).toEqual([
      "branch-on-the-flag",
      "device-is-told-of-an-upgrade",
      "upgrade-flushed-wholesale",
    ]);
  });

  it("break wherever a second agent relies on an invalidation, without notifier and broadcast", () => {
    expect(changedBy({ agents: "none" }).extra).toEqual([
      "branch-on-the-flag",
      "copy-on-write-is-seen",
      "device-is-stopped-before-the-page-is-freed",
      "device-is-told-of-an-upgrade",
      "device-writes-no-freed-page",
      "migration-with-break",
      "third-agent-after-an-unmap",
      "two-pages-two-invalidations",
      "upgrade-flushed-wholesale",
    ]);
  });

  it("show the shortest way to a witness", () => {
    const { test } = tests.find(({ file }) => file === "upgrade-without-invalidation.litmus")!;

    expect(runLitmus(test).witness).toEqual(["P0: STR X1,[X2]", "P0: STR W0,[X3] (TLB): Permission fault"]);
  });
});
