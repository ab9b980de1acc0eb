import {
  agreementShare,
  renderReport,
  replayFile,
  type ReplayOptions,
  type ProgramReport,
  shippedTraces,
  type TraceSource,
} from "@mmu-notifier/replay";
import { expect, test } from "vitest";
import { testDriver } from "./test-driver.js";

async function program(source: TraceSource, options: ReplayOptions = {}): Promise<ProgramReport> {
  const report = await replayFile(source, { upgradeEvent: false, ...options });
  if (report.kind !== "program") throw new Error("expected a program trace");
  return report;
}

test.each([
  ["snapshot", shippedTraces.snapshot, 2636],
  ["mmapdb4k", shippedTraces.mmapdb4k, 2925],
  ["git", shippedTraces.git, 240],
])("%s: the model notifies what the recorded kernel notified", { timeout: 60_000 }, async (_name, trace, recorded) => {
  const { agreement } = await program(trace);
  expect(agreement.matched + agreement.missing).toBe(recorded);
  expect(agreementShare(agreement)).toBeGreaterThan(0.99);
});

test(
  "the moment an exited child's memory goes comes from the first write that is not notified",
  { timeout: 60_000 },
  async () => {
    const { lateReleases, processes, upgrades } = await program(shippedTraces.snapshot);
    expect(lateReleases.map(({ pid }) => pid)).toEqual([13427, 13429, 13430]);
    expect(processes.map(({ recorded }) => recorded)).toEqual([true, false, false, false]);
    expect(upgrades["wp_page_reuse"]).toBeGreaterThan(5000);
  },
);

test(
  "a device without the event keeps entries that refuse a write for ever; the event cures that and is paid for",
  { timeout: 120_000 },
  async () => {
    const drivers = [
      { driver: testDriver("listens"), name: "listens" },
      { driver: testDriver("filters"), name: "filters" },
    ];
    const { devices, upgradeEvent, upgrades } = await program(shippedTraces.mmapdb4k, { drivers, upgradeEvent: true });
    expect(devices.map(({ name }) => name)).toEqual(["listens", "filters"]);
    expect(devices[0]!.livelocks).toBeGreaterThan(0);
    const [listens, filters] = upgradeEvent!.devices;
    expect(upgradeEvent!.events).toBe(Object.values(upgrades).reduce((all, count) => all + count, 0));
    expect(listens).toMatchObject({ filtered: 0, delivered: upgradeEvent!.events, livelocks: 0 });
    expect(listens!.livelocksWithout).toBeGreaterThan(0);
    expect(filters).toMatchObject({ filtered: upgradeEvent!.events, delivered: 0 });
    expect(filters!.livelocks).toBe(filters!.livelocksWithout);
  },
);

const HEADER = [
  "0 7 7 EXEC /a 7",
  "1 7 7 MAPS vm=1",
  "1 7 7 V 10000 14000 rw-p 00000000 -",
  "1 7 7 V 20000 24000 rw-s 00000000 /data",
];
const lines = (...rest: readonly string[]): TraceSource => ({
  name: "t.trace",
  bytes: new TextEncoder().encode([...HEADER, ...rest].join("\n")),
});

test("differences are shown by what the program did", async () => {
  const source = lines(
    "2 7 7 F 10008 6",
    "3 7 7 S munmap 0x10000 0x1000",
    "3 7 7 N 10000 11000",
    "3 7 7 R munmap 0x0",
    "4 7 7 S munmap 0x11000 0x1000",
    "4 7 7 N 11000 13000",
    "4 7 7 R munmap 0x0",
  );
  const report = await program(source);
  const [process] = report.processes;
  expect(process).toMatchObject({ program: "/a", pid: 7, matched: 1, missing: 1, extra: 1 });
  expect(process!.firstMissing).toMatchObject([{ start: 0x11000, end: 0x13000, line: 10, cause: "munmap" }]);
  expect(renderReport(report)).toContain("in the trace only: 11000-13000 at line 10, munmap");
});

test("a thread, a vfork child and a forked child act on the right memory", async () => {
  const source = lines(
    "2 7 7 F 10008 6",
    "3 7 7 NEW 8 3d0f00",
    "4 8 7 F 11008 6",
    "5 7 7 NEW 9 4100",
    "6 9 9 S munmap 0x11000 0x1000",
    "6 9 9 R munmap 0x0",
    "7 9 9 EXEC /b 9",
    "8 7 7 N 10000 11000",
    "8 7 7 N 12000 14000",
    "8 7 7 NEW 10 1200000",
    "9 10 10 F 10008 7",
    "10 10 10 EXIT 1",
    "11 7 7 F 10008 7",
    "12 7 7 EXIT 1",
  );
  const report = await program(source);
  expect(report.processes.map(({ pid, recorded }) => [pid, recorded])).toEqual([
    [7, true],
    [10, false],
  ]);
  expect(report.upgrades).toEqual({ wp_page_reuse: 1 });
  // The child of vfork() unmapped in its parent's memory before the fork, so the fork found two VMAs.
  expect(report.processes[0]!.byCause["fork"]).toEqual({ matched: 2, missing: 0, extra: 0 });
});

test("a refused mmap of huge pages is undone where the kernel's search had put it", async () => {
  const report = await program(
    lines(
      "2 7 7 V 7f0000400000 7f0000600000 rw-p 00000000 -",
      "2 7 7 V 7f0000801000 7f0000802000 rw-p 00000000 -",
      "2 7 7 V 7ffd00000000 7ffd00021000 rw-p 00000000 [stack]",
      "3 7 7 S mmap 0 0x200000 3 0x40021 0xffffffff 0",
      "3 7 7 N 7f0000600000 7f0000800000",
      "3 7 7 R mmap 0xfffffffffffffff4",
      "4 7 7 S mmap 0 0x200000 3 0x40021 0xffffffff 0",
      "4 7 7 R mmap 0x7f0000600000",
      "5 7 7 S munmap 0x7f0000600000 0x200000",
      "5 7 7 N 7f0000600000 7f0000800000",
      "5 7 7 R munmap 0x0",
    ),
  );

  expect(report.agreement).toEqual({ matched: 2, missing: 0, extra: 0 });
});

test.each([
  [
    "one entry maps the block: it is split for a write",
    [],
    ["6 7 7 N 7f0000400000 7f0000600000"],
    { matched: 1, missing: 0, extra: 0 },
  ],
  ["a second page is missing: base pages", ["5 7 7 F 7f0000580000 4"], [], { matched: 0, missing: 0, extra: 0 }],
])("files in folios of 2 MiB are told from the faults: %s", async (_name, fault, notified, agreement) => {
  const report = await program(
    lines(
      "2 7 7 S mmap 0 0x400000 3 0x1 3 0",
      "2 7 7 R mmap 0x7f0000400000",
      "3 7 7 F 7f0000412000 4",
      ...fault,
      "6 7 7 F 7f0000500000 7",
      ...notified,
    ),
  );

  expect(report.agreement).toEqual(agreement);
});

test("calls that the model does not know, and faults outside all mappings, are counted", async () => {
  const report = await program(
    lines("2 7 7 S mlock 0x10000 0x1000", "2 7 7 R mlock 0x0", "3 7 7 F 90000 6", "4 7 7 F 20000 4", "5 7 7 F 20000 7"),
  );
  expect(report.ignoredCalls).toEqual({ mlock: 1 });
  expect(report.faults).toMatchObject({ replayed: 3, refused: 1 });
  expect(report.upgrades).toEqual({ wp_page_reuse: 1 });
});

test("a trace without notifications is not said to agree", async () => {
  const report = await program(lines("2 7 7 F 10008 6"));

  expect(renderReport(report)).toContain("notifications against the trace: none on either side");
});

test("what a driver throws is in the report", async () => {
  const report = await program(lines("2 7 7 F 10008 6", "3 7 7 S munmap 0x10000 0x1000", "3 7 7 R munmap 0x0"), {
    drivers: [{ driver: testDriver("listens", true) }],
  });
  expect(report.driverErrors[0]).toContain("no room in the queue");
  expect(renderReport(report)).toContain("errors in drivers");
});

test("progress is reported, and a file that is no trace is refused", { timeout: 60_000 }, async () => {
  const seen: number[] = [];
  await program(shippedTraces.git, { onProgress: ({ replayed }) => seen.push(replayed) });
  expect(seen.at(-1)).toBe(2389);
  await expect(replayFile({ name: "x", bytes: new TextEncoder().encode("hello") })).rejects.toMatchObject({
    code: "TRACE_FORMAT",
  });
  await expect(replayFile({ name: "x", bytes: new Uint8Array(0) })).rejects.toMatchObject({ code: "TRACE_FORMAT" });
  for (const strace of [
    '4354  1795327323.121899 execve("/gcc", ["gcc"], 0x7f /* 35 vars */) = 0',
    "[pid  4354] brk(NULL)       = 0x111a5000",
    "12:00:01 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, 3</ld.so.cache>, 0) = 0x7f8a5ac13000",
    "munmap(0x7f8a5ac09000, 39215) = 0",
  ])
    await expect(replayFile({ name: "x", bytes: new TextEncoder().encode(strace) })).rejects.toMatchObject({
      code: "TRACE_FORMAT",
      message: expect.stringContaining("this is a log of strace") as string,
    });
  await expect(replayFile(shippedTraces.git, { kernel: "v9" })).rejects.toMatchObject({ code: "PLUGIN_UNKNOWN" });
});
