import { PluginRegistry } from "@mmu-notifier/machine";
import { ARENA_PAGE, parseScripts, ScriptSession, type Trial } from "@mmu-notifier/script";
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

describe("rdma-odp", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("never stands still", () => {
    for (const variant of VARIANTS) expect(stuck(verdicts(variant))).toEqual([]);
  });

  it("aborts outside its region", () => {
    const { records } = run(
      "map 0 8 rw- p anon; dev dev0 write 3; dev dev0 write 4",
      "v6.12",
      `start=${ARENA_PAGE} pages=4`,
    );

    expect(records.map(({ err }) => err)).toEqual([undefined, undefined, "F_TRANSLATION"]);
  });

  it("waits for a work request before an unmap goes on, and pays for none when the card has nothing", () => {
    const { device } = run("map 0 8 rw- p anon; dev dev0 write 0 4; unmap 0 8");

    expect(device.entries()).toEqual([]);
    expect(device.report().commands).toEqual({ umr_wait: 1, umr_zap_mtt: 1 });
    expect(run("map 0 8 rw- p anon; unmap 0 8").device.report().commands).toEqual({});
  });

  it("is told when a copy takes the place of a page", () => {
    const { last } = run("map 0 4 rw- p anon; write 0; dev dev0 read 0; fork; write 0; dev dev0 read 0; read 0");
    const { records } = run("map 0 4 rw- p anon; write 0; dev dev0 read 0; fork; write 0; dev dev0 read 0");

    expect(records.at(-1)!.val).toBe(last.val);
  });
});
