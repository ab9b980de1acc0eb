import { checkDefinition } from "@mmu-notifier/sdk";
import { describe, expect, it } from "vitest";
import driver from "../src/driver.js";
import { upgradeOn } from "../src/upgrade.js";

describe("acme-npu", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("is stuck on a kernel that tells nobody about upgrades", () => {
    expect(upgradeOn("v6.4").outcome).toBe("livelock");
  });

  it.each(["v6.4+upgrade-event", "v6.12"])("needs one invalidation on %s", (kernel) => {
    const { outcome, faults, commands } = upgradeOn(kernel);

    expect({ outcome, faults }).toEqual({ outcome: "value", faults: 1 });
    expect(commands).toEqual({ CMD_SYNC: 1, CMD_TLBI_NH_VA: 1 });
  });
});
