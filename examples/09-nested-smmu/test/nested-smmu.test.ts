import { checkDefinition } from "@mmu-notifier/sdk";
import { runOps, stuckTrials } from "@mmu-notifier/testkit";
import { describe, expect, it } from "vitest";
import driver from "../src/driver.js";
import { VARIANTS, verdicts } from "../src/verdicts.js";

describe("nested-smmu", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("never stands still", () => {
    for (const variant of VARIANTS) expect(stuckTrials(verdicts(variant))).toEqual([]);
  });

  it("takes a fault for each stage that refuses", () => {
    const { device } = runOps(driver, "map 0 4 rw- p anon; dev dev0 write 0");

    expect(device.costs.of("faults")).toBe(2);
  });

  const REUSED = "map 0 1 rw- p anon; write 0; dev dev0 read 0; unmap 0 1; dev dev0 read 0";

  it("uses no frame that the host took away", () => {
    expect(runOps(driver, REUSED).last.err).toBe("F_TRANSLATION");
  });

  it("would use it if a change of stage 2 left the combined entries alone", () => {
    expect(runOps(driver, REUSED, { options: "clearStage1=false" }).last.err).toBeUndefined();
  });

  it("drops only the guest's page when the guest raises a right", () => {
    const { device } = runOps(driver, "map 0 4 rw- p anon; write 0; write 1; dev dev0 read 0 2; dev dev0 write 0");

    expect(device.report().commands).toEqual({ CMD_SYNC: 1, CMD_TLBI_NH_VA: 1 });
    expect(device.entries().filter(({ where }) => where === "iotlb")).toHaveLength(2);
  });
});
