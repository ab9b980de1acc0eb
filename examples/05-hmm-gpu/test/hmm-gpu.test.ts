import { ARENA_PAGE } from "@mmu-notifier/script";
import { checkDefinition } from "@mmu-notifier/sdk";
import { runOps, stuckTrials } from "@mmu-notifier/testkit";
import { describe, expect, it } from "vitest";
import driver, { type GpuBinding } from "../src/driver.js";
import { VARIANTS, verdicts } from "../src/verdicts.js";

describe("hmm-gpu", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("never stands still, whether it hears of upgrades or not", () => {
    for (const variant of VARIANTS) expect(stuckTrials(verdicts(variant))).toEqual([]);
  });

  it("pays for hearing of its own upgrade with one more round, on the kernels that send the event", () => {
    const faults = (at: number) =>
      verdicts(VARIANTS[at]!).find(({ kernel, scenario }) => kernel === "v6.4+upgrade-event" && scenario === "hugetlb")!
        .faults;

    expect([faults(0), faults(1)]).toEqual([1, 2]);
  });

  it("has a page to itself until the CPU touches it, and does not start again because of its own conversion", () => {
    const { device, session, more } = runOps(driver, "map 0 4 rw- p anon; write 0");
    const { mirror } = device.binding().binding as GpuBinding;

    expect(session.machine.run(mirror.exclusive(ARENA_PAGE))).toBe(0);
    expect(device.costs.of("callbacks")).toBe(0);
    expect(device.access(ARENA_PAGE, "write", 7)).toMatchObject({ outcome: { kind: "value" }, faults: 0 });
    expect(device.entries().map(({ where }) => where)).toEqual(["mirror", "iotlb"]);

    expect(more("read 0")).toMatchObject([{ val: 7 }]);
    expect(device.entries()).toEqual([]);
    expect(device.costs.of("callbacks")).toBe(1);
  });

  it("cannot have a page of a file to itself", () => {
    const { device, session } = runOps(driver, "map 0 4 rw- s mem");
    const { mirror } = device.binding().binding as GpuBinding;

    expect(session.machine.run(mirror.exclusive(ARENA_PAGE))).toBeLessThan(0);
  });

  it("has all pages of a job in its table before the job runs", () => {
    const { device, session } = runOps(driver, "map 0 4 rw- p anon");
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
    const { records } = runOps(
      driver,
      "map 0 4 rw- p anon; write 0; dev dev0 read 0; fork; dev dev0 write 0; cread 0 0; read 0",
    );
    const [, write, read, , , child, parent] = records;

    expect(read!.val).toBeDefined();
    expect(child!.val).toBe(read!.val);
    expect(parent!.val).not.toBe(read!.val);
    expect(write!.err).toBeUndefined();
  });
});
