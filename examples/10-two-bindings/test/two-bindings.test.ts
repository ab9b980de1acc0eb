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

describe("two-bindings", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("stands still where it walks and nobody tells it, never where it pins", () => {
    const [walks, pins] = VARIANTS.map((variant) => stuck(verdicts(variant)));

    expect(walks).toContain("v6.4 reuse");
    expect(walks!.some((trial) => trial.startsWith("v6.12"))).toBe(false);
    expect(pins).toEqual([]);
  });

  it("decides for each binding: one device, two processes, two answers", () => {
    const { device, session } = run("map 0 4 rw- p anon");
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
    const { last, records } = run(
      "map 0 4 rw- p anon; dev dev0 write 0; fork; write 0; dev dev0 read 0; read 0",
      "v6.12",
      "contexts=0",
    );

    expect(records.at(-2)!.val).toBe(last.val);
  });

  it("forgets a page that is unmapped, and pins the next one at that address", () => {
    const ops = "map 0 1 rw- p anon; write 0; dev dev0 read 0; unmap 0 1; dev dev0 read 0";
    const { device, last, session } = run(ops, "v6.12", "contexts=0");

    expect(last.err).toBe("F_TRANSLATION");
    session.machine.run(device.unbind(session.process));
    expect(device.costs.of("zaps")).toBe(1);
  });

  it("cannot pin pages of a DAX file", () => {
    const aborted = verdicts(VARIANTS[1]!).filter(({ outcome }) => outcome === "aborted");

    expect(new Set(aborted.map(({ scenario }) => scenario))).toEqual(new Set(["dax-mkwrite"]));
  });
});
