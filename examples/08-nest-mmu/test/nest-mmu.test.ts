import { ARENA_PAGE } from "@mmu-notifier/script";
import { checkDeclaration, checkDefinition, hostFacts } from "@mmu-notifier/sdk";
import { runOps, stuckTrials } from "@mmu-notifier/testkit";
import { describe, expect, it } from "vitest";
import driver from "../src/driver.js";
import { VARIANTS, verdicts } from "../src/verdicts.js";

describe("nest-mmu", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("stands still on v7.3, whose flush after an upgrade is local, and nowhere else", () => {
    const kernels = new Set(stuckTrials(verdicts(VARIANTS[0]!)).map((trial) => trial.split(" ")[0]));

    expect([...kernels]).toEqual(["v7.3"]);
  });

  it.each([
    ["v6.12", 0],
    ["v7.3", 1],
  ])("says so before anything runs, on %s", (kernel, findings) => {
    const { session } = runOps(driver, "map 0 4 rw- p anon", { kernel });

    expect(checkDeclaration(driver, hostFacts(session.machine.kernel), driver.options!)).toHaveLength(findings);
  });

  it("loses a page in both levels by the CPU's own flush, without a command or a callback", () => {
    const { device, last } = runOps(driver, "map 0 4 rw- p anon; dev dev0 write 0; unmap 0 1; dev dev0 read 0");

    expect(last.err).toBe("F_TRANSLATION");
    expect(device.report().commands).toEqual({});
    expect(device.costs.of("callbacks")).toBe(0);
  });

  it("serves a second access of another page's neighbour from the nest when its own cache is full", () => {
    const { device } = runOps(driver, "map 0 4 rw- p anon; dev dev0 write 0 3; dev dev0 read 0");

    expect(device.costs.of("walks")).toBe(6);
    expect(device.entries().filter(({ vpn }) => vpn === ARENA_PAGE)).toHaveLength(2);
  });

  it("walks nothing after the process is gone", () => {
    const { last } = runOps(driver, "map 0 4 rw- p anon; dev dev0 write 0; exit; dev dev0 read 0");

    expect(last.err).toBeDefined();
  });
});
