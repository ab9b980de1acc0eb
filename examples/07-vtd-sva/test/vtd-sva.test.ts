import { PluginRegistry } from "@mmu-notifier/machine";
import { parseScripts, ScriptSession, type Trial } from "@mmu-notifier/script";
import { checkDeclaration, checkDefinition, hostFacts } from "@mmu-notifier/sdk";
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

describe("vtd-sva", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("rests on walking again: with it no kernel leaves the device stuck, without it every kernel that is not patched does", () => {
    const [walksAgain, answers] = VARIANTS.map((variant) => stuck(verdicts(variant)));

    expect(walksAgain).toEqual([]);
    expect(answers).toContain("v7.3 reuse");
    expect(answers!.some((trial) => trial.startsWith("v6.4+upgrade-event-fixed"))).toBe(false);
  });

  it("empties the IOTLB before the device's cache, with a wait between", () => {
    const { records } = run("map 0 4 rw- p anon; dev dev0 write 0; unmap 0 1");
    const commands = records
      .at(-1)!
      .happened!.flatMap((one) => (one.kind === "device" && one.event.kind === "command" ? [one.event.mnemonic] : []));

    expect(commands.slice(0, 4)).toEqual(["piotlb_inv", "inv_wait", "dev_iotlb_inv", "inv_wait"]);
  });

  it("asks for its pages, and is refused what the process does not have", () => {
    const { device, records } = run("map 0 4 rw- p anon; dev dev0 write 0; dev dev0 write 8");

    expect(records.map(({ err }) => err)).toEqual([undefined, undefined, "F_TRANSLATION"]);
    expect(device.costs.of("pageRequests")).toBe(2);
  });

  it("sets the dirty state itself where the entry allows it: no fault", () => {
    const { device } = run("map 0 4 rw- s mem; read 0; dev dev0 read 0; dev dev0 write 0");

    expect(device.costs.of("faults")).toBe(0);
  });

  it("declares what it does: nothing to find, on any kernel", () => {
    const { session } = run("map 0 4 rw- p anon");

    expect(checkDeclaration(driver, hostFacts(session.machine.kernel), driver.options!)).toEqual([]);
  });
});
