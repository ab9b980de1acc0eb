import { checkDeclaration, checkDefinition, hostFacts } from "@mmu-notifier/sdk";
import { runOps, stuckTrials } from "@mmu-notifier/testkit";
import { describe, expect, it } from "vitest";
import driver from "../src/driver.js";
import { VARIANTS, verdicts } from "../src/verdicts.js";

describe("two-bindings", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("stands still where it walks and nobody tells it, never where it pins", () => {
    const [walks, pins] = VARIANTS.map((variant) => stuckTrials(verdicts(variant)));

    expect(walks).toContain("v6.4 reuse");
    expect(walks!.some((trial) => trial.startsWith("v6.12"))).toBe(false);
    expect(pins).toEqual([]);
  });

  it("decides for each binding: one device, two processes, two answers", () => {
    const { device, session } = runOps(driver, "map 0 4 rw- p anon");
    const other = session.machine.createProcess({ name: "other" });
    device.bind(other);

    const decisions = [session.process, other].map((process) => device.decision(process).protectionUpgrade);
    expect(decisions).toEqual(["deliver", "filter"]);
    for (const process of [session.process, other]) {
      const { decision, declarations } = device.binding(process);
      const host = hostFacts(session.machine.kernel);
      expect(checkDeclaration(driver, host, driver.options!, decision, declarations)).toEqual([]);
    }
  });

  it("goes on with the frame that it pinned when the process copies, moves or swaps; both keep seeing one page", () => {
    const { last, records } = runOps(
      driver,
      "map 0 4 rw- p anon; dev dev0 write 0; fork; write 0; dev dev0 read 0; read 0",
      { options: "contexts=0" },
    );

    expect(records.at(-2)!.val).toBe(last.val);
  });

  it("forgets a page that is unmapped, and pins the next one at that address", () => {
    const ops = "map 0 1 rw- p anon; write 0; dev dev0 read 0; unmap 0 1; dev dev0 read 0";
    const { device, last, session } = runOps(driver, ops, { options: "contexts=0" });

    expect(last.err).toBe("F_TRANSLATION");
    session.machine.run(device.unbind(session.process));
    expect(device.costs.of("zaps")).toBe(1);
  });

  it("cannot pin pages of a DAX file", () => {
    const aborted = verdicts(VARIANTS[1]!).filter(({ outcome }) => outcome === "aborted");

    expect(new Set(aborted.map(({ scenario }) => scenario))).toEqual(new Set(["dax-mkwrite"]));
  });
});
