import { checkDeclaration, checkDefinition, hostFacts } from "@mmu-notifier/sdk";
import { runOps, stuckTrials } from "@mmu-notifier/testkit";
import { describe, expect, it } from "vitest";
import driver from "../src/driver.js";
import { VARIANTS, verdicts } from "../src/verdicts.js";

describe("vtd-sva", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("rests on walking again: with it no kernel leaves the device stuck, without it every kernel that is not patched does", () => {
    const [walksAgain, answers] = VARIANTS.map((variant) => stuckTrials(verdicts(variant)));

    expect(walksAgain).toEqual([]);
    expect(answers).toContain("v7.3 reuse");
    expect(answers!.some((trial) => trial.startsWith("v6.4+upgrade-event-fixed"))).toBe(false);
  });

  it("empties the IOTLB before the device's cache, with a wait between", () => {
    const { records } = runOps(driver, "map 0 4 rw- p anon; dev dev0 write 0; unmap 0 1");
    const commands = records
      .at(-1)!
      .happened!.flatMap((one) => (one.kind === "device" && one.event.kind === "command" ? [one.event.mnemonic] : []));

    expect(commands.slice(0, 4)).toEqual(["piotlb_inv", "inv_wait", "dev_iotlb_inv", "inv_wait"]);
  });

  it("asks for its pages, and is refused what the process does not have", () => {
    const { device, records } = runOps(driver, "map 0 4 rw- p anon; dev dev0 write 0; dev dev0 write 8");

    expect(records.map(({ err }) => err)).toEqual([undefined, undefined, "F_TRANSLATION"]);
    expect(device.costs.of("pageRequests")).toBe(2);
  });

  it("sets the dirty state itself where the entry allows it: no fault", () => {
    const { device } = runOps(driver, "map 0 4 rw- s mem; read 0; dev dev0 read 0; dev dev0 write 0");

    expect(device.costs.of("faults")).toBe(0);
  });

  it("declares what it does: nothing to find, on any kernel", () => {
    const { session } = runOps(driver, "map 0 4 rw- p anon");

    expect(checkDeclaration(driver, hostFacts(session.machine.kernel), driver.options!)).toEqual([]);
  });
});
