import { PluginRegistry } from "@mmu-notifier/machine";
import { parseScripts, ScriptSession, type Trial } from "@mmu-notifier/script";
import { checkDefinition } from "@mmu-notifier/sdk";
import { afterEach, describe, expect, it } from "vitest";
import driver from "../src/driver.js";
import { VARIANTS, verdicts } from "../src/verdicts.js";

const sessions: ScriptSession[] = [];
afterEach(() => {
  for (const session of sessions.splice(0)) session.close();
});

/** A machine with the device dev0, and what each line of a script came to on it. */
function run(ops: string, kernel = "v6.12", options = "") {
  const [script] = parseScripts(`device dev0 driver ${driver.name} ${options}\n${ops.replaceAll("; ", "\n")}\n`);
  const registry = PluginRegistry.withCore().add(driver, "this example");
  const session = new ScriptSession(script!, { registry, kernel, arch: "arm64", snapshots: false, detail: true });
  sessions.push(session);
  const records = script!.statements.map((statement) => session.run(statement));
  return { session, device: session.devices.get("dev0")!, records, last: records.at(-1)! };
}

const stuck = (trials: readonly Trial[]): string[] =>
  trials.filter(({ outcome }) => outcome === "livelock").map(({ kernel, scenario }) => `${kernel} ${scenario}`);

describe("nested-smmu", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("never stands still", () => {
    for (const variant of VARIANTS) expect(stuck(verdicts(variant))).toEqual([]);
  });

  it("takes a fault for each stage that refuses", () => {
    const { device } = run("map 0 4 rw- p anon; dev dev0 write 0");

    expect(device.costs.of("faults")).toBe(2);
  });

  const REUSED = "map 0 1 rw- p anon; write 0; dev dev0 read 0; unmap 0 1; dev dev0 read 0";

  it("uses no frame that the host took away", () => {
    expect(run(REUSED).last.err).toBe("F_TRANSLATION");
  });

  it("would use it if a change of stage 2 left the combined entries alone", () => {
    expect(run(REUSED, "v6.12", "clearStage1=false").last.err).toBeUndefined();
  });

  it("drops only the guest's page when the guest raises a right", () => {
    const { device } = run("map 0 4 rw- p anon; write 0; write 1; dev dev0 read 0 2; dev dev0 write 0");

    expect(device.report().commands).toEqual({ CMD_SYNC: 1, CMD_TLBI_NH_VA: 1 });
    expect(device.entries().filter(({ where }) => where === "iotlb")).toHaveLength(2);
  });
});
