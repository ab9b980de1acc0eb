import {
  createTlbReplay,
  DemandMemory,
  expandRuns,
  type PageTraceCall,
  type PageTraceOptions,
  readPageTrace,
  RegionTable,
  shippedTraces,
  TraceError,
  type TraceSource,
} from "@mmu-notifier/replay";
import fc from "fast-check";
import { expect, test } from "vitest";

interface Read {
  readonly accesses: { readonly page: number; readonly write: number; readonly count: number }[];
  readonly calls: PageTraceCall[];
}

async function read(source: TraceSource, options: PageTraceOptions = {}): Promise<Read> {
  const regions = new RegionTable();
  const result: Read = { accesses: [], calls: [] };
  for await (const { keys, counts, length, call } of readPageTrace(source, { ...options, regions })) {
    for (let i = 0; i < length; i++)
      result.accesses.push({ page: regions.vpn(keys[i]! >>> 1), write: keys[i]! & 1, count: counts[i]! });
    if (call !== undefined) result.calls.push(call);
  }
  return result;
}

const bytesOf = (text: string): TraceSource => ({ name: "t.pages", bytes: new TextEncoder().encode(text) });

test("loads, stores and modifies become accesses, fetches only when asked for", async () => {
  const text = "I 401a 2\nS 1fff000 1\nL 7fffffff0 3\nM 4033 1\n!munmap 0x4000, 8192 = 0x0\nL fffffffff 9\n";
  const { accesses, calls } = await read(bytesOf(text));
  expect(accesses).toEqual([
    { page: 0x1fff000, write: 1, count: 1 },
    { page: 0x7fffffff0, write: 0, count: 3 },
    { page: 0x4033, write: 1, count: 1 },
    { page: 0xfffffffff, write: 0, count: 9 },
  ]);
  expect(calls).toEqual([{ line: 5, name: "munmap", args: [0x4000, 8192], result: 0 }]);
  expect((await read(bytesOf(text), { instructions: true })).accesses[0]).toEqual({ page: 0x401a, write: 0, count: 2 });
});

test.each([
  ["Q 1 1\n", 1],
  ["L 1\n", 1],
  ["L 1 1\n\nL 1 1\n", 2],
  ["L 1 1\nL 1 0\n", 2],
  ["L 1 12345678901\n", 1],
  ["L 11111111111111 1\n", 1],
  ["!brk\n", 1],
  ["L 1 1", 0],
])("the place of a malformed line: %j", async (text, line) => {
  const done = read(bytesOf(text));
  if (line === 0) expect((await done).accesses).toHaveLength(1);
  else await expect(done).rejects.toMatchObject({ code: "TRACE_MALFORMED", line });
  if (line !== 0) await expect(done).rejects.toBeInstanceOf(TraceError);
});

test("chunks may cut lines anywhere", { timeout: 60_000 }, async () => {
  const line = fc
    .tuple(fc.constantFrom("L", "S", "M", "I"), fc.nat({ max: 0xffffff }), fc.integer({ min: 1, max: 999999999 }))
    .map(([kind, page, count]) => ({ kind, page, count }));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 30 }), async (lines) => {
      // A comment of a megabyte's worth of lines moves the cut of the first chunk into these lines.
      const filler = "L 1 1\n".repeat(Math.floor((1 << 20) / 6) - 2);
      const text = filler + lines.map(({ kind, page, count }) => `${kind} ${page.toString(16)} ${count}\n`).join("");
      const { accesses } = await read(bytesOf(text), { instructions: true });
      const tail = accesses.slice(filler.length / 6);
      expect(tail).toEqual(
        lines.map(({ kind, page, count }) => ({ page, count, write: kind === "S" || kind === "M" ? 1 : 0 })),
      );
    }),
    { numRuns: 8 },
  );
});

test("the shipped page trace gives the counters that the C program gives", { timeout: 60_000 }, async () => {
  const parts: { keys: Int32Array; counts: Int32Array }[] = [];
  for await (const { keys, counts, length } of readPageTrace(shippedTraces.helloPages)) {
    parts.push({ keys: keys.slice(0, length), counts: counts.slice(0, length) });
  }
  const tlb = createTlbReplay(new DemandMemory());
  const keys = expandRuns(parts);
  tlb.run(keys);
  expect(keys).toHaveLength(6356238);
  expect(tlb.counters).toEqual({ l1Hits: 6355880, l2Hits: 72, walks: 286, faults: 282, upgrades: 4, refused: 0 });
});

test("more regions than a key can name are an error", () => {
  const regions = new RegionTable("many");
  for (let i = 0; i < 2047; i++) regions.key(i * 2 ** 20, 0);
  expect(() => regions.key(5000 * 2 ** 20, 0)).toThrow(TraceError);
  expect(regions.vpn(regions.tag(17 * 2 ** 20 + 5))).toBe(17 * 2 ** 20 + 5);
  expect(regions.tag(9999 * 2 ** 20)).toBe(-1);
});
