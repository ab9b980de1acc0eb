import armSmmu from "@mmu-notifier/driver-arm-smmu";
import { PluginRegistry } from "@mmu-notifier/machine";
import { runTrial, UPGRADE_SCENARIOS } from "@mmu-notifier/script";
import { afterAll, describe, expect, it } from "vitest";
import { runOps, type ScriptRun, stuckTrials } from "../src/index.js";

describe("runOps", () => {
  let earlier: ScriptRun | undefined;
  afterAll(() => {
    expect(() => earlier!.more("read 0")).toThrow();
  });

  it("runs a script with the driver's options on the kernel and the architecture that are asked for", () => {
    const run = runOps(armSmmu, "map 0 4 rw- p anon; dev dev0 write 0; unmap 0 1; dev dev0 write 0", {
      kernel: "v6.1",
      arch: "arm64-hafdbs",
      options: "ats",
    });

    expect(run.session.machine.kernel).toMatchObject({ profile: { name: "v6.1" }, arch: { name: "arm64-hafdbs" } });
    expect(run.records.map(({ err }) => err)).toEqual([undefined, undefined, undefined, "F_TRANSLATION"]);
    expect(run.last).toBe(run.records.at(-1));
    expect(run.device.report().commands).toHaveProperty("CMD_ATC_INV");
  });

  it("goes on with the same machine, and closes it when the test ends", () => {
    earlier = runOps(armSmmu, "map 0 4 rw- p anon\ndev dev0 write 0");

    expect(earlier.more("read 0; unmap 0 4")).toMatchObject([{ val: expect.any(Number) as number }, { ret: 0 }]);
    expect(earlier.device.entries()).toEqual([]);
  });

  it("says what is wrong with an op, and where", () => {
    expect(() => runOps(armSmmu, "map 0 4 rw- p anon; unmapp 0")).toThrow(/3:1: expected an op, found "unmapp"/);
  });
});

describe("stuckTrials", () => {
  it("names the kernel and the scenario of each livelock", () => {
    const registry = PluginRegistry.withCore().add(armSmmu, "arm-smmu");
    const variant = { title: "arm-smmu", driver: "arm-smmu", options: "" };
    const reuse = UPGRADE_SCENARIOS.find(({ name }) => name === "reuse")!;
    const trials = ["v6.4", "v6.12"].map((kernel) => runTrial(kernel, variant, reuse, registry));

    expect(stuckTrials(trials)).toEqual(["v6.4 reuse"]);
  });
});
