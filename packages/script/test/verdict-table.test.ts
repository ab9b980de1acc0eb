import { PluginRegistry } from "@mmu-notifier/machine";
import smmu from "@mmu-notifier/driver-arm-smmu";
import { describe, expect, it } from "vitest";
import { UPGRADE_SCENARIOS, verdictCell, verdictsOf, verdictTable } from "../src/index.js";

const registry = PluginRegistry.withCore().add(smmu, "this test");
const variant = { title: "SMMU", driver: "arm-smmu", options: "" };

describe("the verdict table", () => {
  it("has a row for each kernel and a column for each scenario, aligned", () => {
    const lines = verdictTable(verdictsOf(variant, registry, ["v6.4", "v6.12"])).split("\n");

    expect(lines).toHaveLength(3);
    expect(lines[0]!.trim().split(/\s+/)).toEqual(UPGRADE_SCENARIOS.map(({ name }) => name));
    expect(lines[1]!.split(/\s{2,}/)).toEqual(["v6.4", ...UPGRADE_SCENARIOS.map(() => "LIVELOCK")]);
    expect(lines[2]!.split(/\s{2,}/)).toEqual(["v6.12", ...UPGRADE_SCENARIOS.map(() => "1f 2c hook")]);
    expect(lines[2]!.indexOf("1f 2c hook")).toBe(lines[0]!.indexOf("clean-shmem"));
  });

  it("takes all kernels of the registry when none is named", () => {
    const kernels = new Set(verdictsOf(variant, registry).map(({ kernel }) => kernel));

    expect([...kernels]).toEqual(registry.list("kernel-profile").map(({ name }) => name));
  });

  it("does not count the commands that resume a stalled transaction", () => {
    const [trial] = verdictsOf(variant, registry, ["v6.12"]);

    expect(trial!.commands).toHaveProperty("CMD_RESUME");
    expect(verdictCell({ ...trial!, commands: { CMD_RESUME: 5 } })).toBe("1f 0c hook");
  });
});
