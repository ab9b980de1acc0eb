import { ARENA_PAGE } from "@mmu-notifier/script";
import { checkDefinition } from "@mmu-notifier/sdk";
import { runOps, stuckTrials } from "@mmu-notifier/testkit";
import { describe, expect, it } from "vitest";
import driver from "../src/driver.js";
import { VARIANTS, verdicts } from "../src/verdicts.js";

describe("rdma-odp", () => {
  it("is a definition that a machine accepts", () => {
    expect(checkDefinition(driver, "this example")).toBe(driver);
  });

  it("never stands still", () => {
    for (const variant of VARIANTS) expect(stuckTrials(verdicts(variant))).toEqual([]);
  });

  it("aborts outside its region", () => {
    const { records } = runOps(driver, "map 0 8 rw- p anon; dev dev0 write 3; dev dev0 write 4", {
      options: `start=${ARENA_PAGE} pages=4`,
    });

    expect(records.map(({ err }) => err)).toEqual([undefined, undefined, "F_TRANSLATION"]);
  });

  it("waits for a work request before an unmap goes on, and pays for none when the card has nothing", () => {
    const { device } = runOps(driver, "map 0 8 rw- p anon; dev dev0 write 0 4; unmap 0 8");

    expect(device.entries()).toEqual([]);
    expect(device.report().commands).toEqual({ umr_wait: 1, umr_zap_mtt: 1 });
    expect(runOps(driver, "map 0 8 rw- p anon; unmap 0 8").device.report().commands).toEqual({});
  });

  it("is told when a copy takes the place of a page", () => {
    const { last } = runOps(
      driver,
      "map 0 4 rw- p anon; write 0; dev dev0 read 0; fork; write 0; dev dev0 read 0; read 0",
    );
    const { records } = runOps(driver, "map 0 4 rw- p anon; write 0; dev dev0 read 0; fork; write 0; dev dev0 read 0");

    expect(records.at(-1)!.val).toBe(last.val);
  });
});
