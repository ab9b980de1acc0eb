import { PluginRegistry } from "@mmu-notifier/machine";
import { ARENA_PAGE, parseScripts, ScriptSession, type Trial } from "@mmu-notifier/script";
import { checkDefinition } from "@mmu-notifier/sdk";
import { afterEach, describe, expect, it } from "vitest";
import driver, { type GpuBinding } from "../src/driver.js";
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

describe("hmm-gpu", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("never stands still, whether it hears of upgrades or not", () => {
    for (const variant of VARIANTS) expect(stuck(verdicts(variant))).toEqual([]);
  });

  it("pays for hearing of its own upgrade with one more round, on the kernels that send the event", () => {
    const faults = (at: number) =>
      verdicts(VARIANTS[at]!).find(({ kernel, scenario }) => kernel === "v6.4+upgrade-event" && scenario === "hugetlb")!
        .faults;

    expect([faults(0), faults(1)]).toEqual([1, 2]);
  });

  it("has a page to itself until the CPU touches it, and does not start again because of its own conversion", () => {
    const { device, session } = run("map 0 4 rw- p anon; write 0");
    const { mirror } = device.binding().binding as GpuBinding;

    expect(session.machine.run(mirror.exclusive(ARENA_PAGE))).toBe(0);
    expect(device.costs.of("callbacks")).toBe(0);
    expect(device.access(ARENA_PAGE, "write", 7)).toMatchObject({ outcome: { kind: "value" }, faults: 0 });
    expect(device.entries().map(({ where }) => where)).toEqual(["mirror", "iotlb"]);

    const [read] = parseScripts("read 0\n");
    expect(session.run(read!.statements[0]!)).toMatchObject({ val: 7 });
    expect(device.entries()).toEqual([]);
    expect(device.costs.of("callbacks")).toBe(1);
  });

  it("cannot have a page of a file to itself", () => {
    const { device, session } = run("map 0 4 rw- s mem");
    const { mirror } = device.binding().binding as GpuBinding;

    expect(session.machine.run(mirror.exclusive(ARENA_PAGE))).toBeLessThan(0);
  });

  it("has all pages of a job in its table before the job runs", () => {
    const { device, session } = run("map 0 4 rw- p anon");
    const { mirror } = device.binding().binding as GpuBinding;

    expect(session.machine.run(mirror.populate(ARENA_PAGE, 4, true))).toBe(0);
    expect(mirror.entries().map(({ vpn, write }) => [vpn - ARENA_PAGE, write])).toEqual([
      [0, true],
      [1, true],
      [2, true],
      [3, true],
    ]);
    expect(session.machine.run(mirror.populate(ARENA_PAGE + 2, 4, true))).toBeLessThan(0);
  });

  it("keeps a child's pages and its parent's apart", () => {
    const { records } = run("map 0 4 rw- p anon; write 0; dev dev0 read 0; fork; dev dev0 write 0; cread 0 0; read 0");
    const [, write, read, , , child, parent] = records;

    expect(read!.val).toBeDefined();
    expect(child!.val).toBe(read!.val);
    expect(parent!.val).not.toBe(read!.val);
    expect(write!.err).toBeUndefined();
  });
});
