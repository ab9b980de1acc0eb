import { READ_WRITE, Workbench } from "@mmu-notifier/sdk";
import { expect, test } from "vitest";
import driver from "../src/index.js";

test("acme-npu has nothing of a page left before an unmap goes on", () => {
  const bench = new Workbench({ profile: "v6.12" });
  const bound = bench.device(driver).bind(bench.mm);
  bench.map(3, READ_WRITE);
  bench.access(bound, 3, "write", 7);
  expect(bound.binding.entries().map(({ where }) => where)).toEqual(["mirror", "iotlb"]);

  bench.run(bench.unmap(3));

  expect(bound.binding.entries()).toEqual([]);
});
