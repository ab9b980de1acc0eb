import { renderReport, replayFile, type PageReport, shippedTraces, type TraceSource } from "@mmu-notifier/replay";
import { expect, test } from "vitest";
import { testDriver } from "./test-driver.js";

async function pages(source: TraceSource, arch = "x86-64"): Promise<PageReport> {
  const report = await replayFile(source, { arch, drivers: [{ driver: testDriver("listens") }] });
  if (report.kind !== "pages") throw new Error("expected a page trace");
  return report;
}

test(
  "the kernel's page tables give the counters of the C program, and devices hear of each copy",
  { timeout: 60_000 },
  async () => {
    const report = await pages(shippedTraces.helloPages);
    expect(report.accesses).toBe(6356238);
    expect(report.tlb).toEqual({ l1Hits: 6355880, l2Hits: 72, walks: 286, faults: 282, upgrades: 4, refused: 0 });
    expect(report.notifications["MMU_NOTIFY_CLEAR"]).toBeGreaterThanOrEqual(4);
    expect(report.devices[0]!.costs.accesses).toBeGreaterThan(282);
    expect(renderReport(report)).toContain("6356238 accesses, on v6.18");
  },
);

test("arm64's page tables give the same counters as x86-64's", async () => {
  const text = Array.from(
    { length: 400 },
    (_, i) => `${"LSLM"[i % 4]} ${(0x4000 + ((i * 7) % 97)).toString(16)} ${(i % 3) + 1}`,
  ).join("\n");
  const trace = { name: "t", bytes: new TextEncoder().encode(text) };
  const [x86, arm64] = [await pages(trace), await pages(trace, "arm64")];
  expect(x86.tlb).toEqual(arm64.tlb);
  expect(x86.notifications).toEqual(arm64.notifications);
  expect(x86.tlb.upgrades).toBeGreaterThan(0);
});

test("munmap takes translations away, other calls do not", async () => {
  const trace =
    "S 5000 2\nS 5001 1\n!brk 0x0 = 0x4035000\nL 5000 1\n!munmap 0x5000000, 4096 = 0x0\nL 5000 1\nL 5001 1\n";
  const report = await pages({ name: "t", bytes: new TextEncoder().encode(trace) });
  expect(report.tlb).toEqual({ l1Hits: 3, l2Hits: 0, walks: 3, faults: 3, upgrades: 0, refused: 0 });
  expect(report.notifications["MMU_NOTIFY_UNMAP"]).toBe(1);
});
