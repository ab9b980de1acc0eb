import { readFileSync } from "node:fs";
import { checkScenario, scenarios } from "@mmu-notifier/checker";
import { describe, expect, it } from "vitest";
import { shippedRegistry } from "../src/registry.js";

const page = readFileSync(new URL("../../../docs/reference/scenarios.md", import.meta.url), "utf8");
const registry = await shippedRegistry();

/** Searches of some hundred states, of every kind that kernels differ in: the others are in the tables of the page, which takes minutes to make. */
const QUICK = ["X2", "X2+ats", "X2a", "X10", "X26", "X27", "X29a"];

const cells = (line: string): string[] =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());

/** What the page says of a driver: words by kernel and scenario. */
function tableOf(driver: string): (kernel: string, id: string) => string | undefined {
  const [, section = ""] = page.split(`### ${driver}\n`);
  const [body = ""] = section.split("\n### ");
  const [head = "", , ...rows] = body.split("\n").filter((line) => line.startsWith("|"));
  const kernels = cells(head).slice(1);
  const named = (start: string): readonly string[] =>
    (body.split("\n").find((line) => line.startsWith(start)) ?? "").slice(start.length).replace(/\.$/, "").split(", ");
  const passes = named("Come through on every kernel: ");
  const silent = named("Say nothing about it: ");
  return (kernel, id) => {
    if (passes.includes(id)) return "passes";
    if (silent.includes(id)) return "–";
    const row = rows.map(cells).find(([name]) => name === id);
    return row?.[kernels.indexOf(kernel) + 1];
  };
}

/** What a search comes to, in the words of the page, and what the rules say. */
function searched(id: string, written: string, kernel: string): { found: string; expected: string } {
  const [driver = "", ...options] = written.split(/[:,]/);
  const { skipped, exploration, expectation } = checkScenario(
    scenarios.find((scenario) => scenario.id === id)!,
    {
      driver,
      registry,
      kernel,
      options: Object.fromEntries(
        options.map((option) => {
          const [name = "", value = "true"] = option.split("=");
          return [name, value === "true" || (value === "false" ? false : value)];
        }),
      ),
    },
  );
  if (skipped !== undefined) return { found: "–", expected: "–" };
  expect(exploration!.bounds).toBe("complete");
  const first = exploration!.findings.find(({ severity }) => severity === "error");
  return { found: first?.verdict ?? "passes", expected: expectation!.verdict ?? "passes" };
}

const kernels = registry.list("kernel-profile").map(({ name }) => name);

describe.each(["arm-smmu", "iommu-btm", "kvm"])("%s", (driver) => {
  const table = tableOf(driver);

  it("the page has every scenario and every kernel", () => {
    for (const { id } of scenarios)
      for (const kernel of kernels) expect([id, kernel, table(kernel, id)]).toEqual([id, kernel, expect.any(String)]);
  });

  it.each(kernels)("comes to what the page says on %s, and that is what the rules say", (kernel) => {
    for (const id of QUICK) {
      const { found, expected } = searched(id, driver, kernel);
      expect([id, found, found]).toEqual([id, expected, table(kernel, id)]);
    }
  });
});

describe("with a switch that is wrong there, or right", () => {
  const [, section = ""] = page.split("### Switches\n");
  const rows = section
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map(cells);

  it.each(rows)("%s on %s: %s %s", (driver, kernel, id, verdict) => {
    expect(searched(id, driver.replaceAll("`", ""), kernel).found).toBe(verdict);
  });
});
