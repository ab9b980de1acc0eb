import { READ_WRITE, Workbench } from "@mmu-notifier/sdk";
import { expect, test } from "vitest";
import driver from "../src/index.js";

test("acme-npu drops a page with one command and one barrier before an unmap goes on", () => {
  const bench = new Workbench({ profile: "v6.12" });
  const device = bench.device(driver);
  const bound = device.bind(bench.mm);
  bench.map(3, READ_WRITE);
  bench.access(bound, 3, "write", 7);
  expect(bound.binding.entries()).toHaveLength(1);

  bench.run(bench.unmap(3));

  expect(bound.binding.entries()).toEqual([]);
  expect(device.costs.report().commands).toEqual({ CMD_SYNC: 1, CMD_TLBI_NH_VA: 1 });
});
