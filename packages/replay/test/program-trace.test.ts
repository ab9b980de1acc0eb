import { readFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import {
  readPageTrace,
  readProgramTrace,
  shippedTraces,
  TraceError,
  type TraceRecord,
  type TraceSource,
} from "@mmu-notifier/replay";
import fc from "fast-check";
import { expect, test } from "vitest";

const bytesOf = (text: string): TraceSource => ({ name: "t.trace", bytes: new TextEncoder().encode(text) });

async function records(source: TraceSource): Promise<TraceRecord[]> {
  const all: TraceRecord[] = [];
  for await (const batch of readProgramTrace(source)) all.push(...batch);
  return all;
}

/** Reads to the end; only a TraceError may come out. */
async function survives(source: TraceSource): Promise<void> {
  for (const read of [readProgramTrace(source), readPageTrace(source)]) {
    try {
      for await (const _ of read) void _;
    } catch (error) {
      expect(error).toBeInstanceOf(TraceError);
    }
  }
}

test("every line kind becomes a record", async () => {
  const lines = [
    "0 7 7 F 7f12f54e7c10 20",
    "1 7 7 FK 55af60758038 2",
    "2 7 7 N 7f12f54e7000 7f12f54e8000",
    "3 7 7 A 0 1000",
    "4 7 7 T -1 3",
    "5 7 7 S mmap 0 0x2000 3 0x22 0xffffffff 0",
    "6 7 7 R mmap 0xfffffffffffffff4",
    "7 7 7 NEW 8 1200000",
    "8 8 8 EXEC /a program 8",
    "9 8 8 EXIT 1",
    "10 7 7 MAPS vm=1",
    "11 7 7 V ffffffffff600000 ffffffffff601000 --xp 00000000 [vsyscall]",
  ];
  const [fault, kernelFault, notify, age, flush, call, returned, clone, exec, exit, maps, vma] = await records(
    bytesOf(lines.join("\n")),
  );
  expect(fault).toMatchObject({
    kind: "fault",
    kernel: false,
    address: 0x7f12f54e7c10,
    code: 20,
    line: 1,
    time: 0,
    tid: 7,
  });
  expect(kernelFault).toMatchObject({ kind: "fault", kernel: true, code: 2 });
  expect(notify).toMatchObject({ kind: "notify", start: 0x7f12f54e7000, end: 0x7f12f54e8000 });
  expect(age).toMatchObject({ kind: "age", start: 0, end: 4096 });
  expect(flush).toMatchObject({ kind: "flush", pages: -1, reason: 3 });
  expect(call).toMatchObject({ kind: "call", name: "mmap", args: [0, 0x2000, 3, 0x22, 0xffffffff, 0] });
  expect(returned).toMatchObject({ kind: "return", name: "mmap", result: -12 });
  expect(clone).toMatchObject({ kind: "new", child: 8, flags: 0x1200000 });
  expect(exec).toMatchObject({ kind: "exec", file: "/a program", oldTid: 8 });
  expect(exit).toMatchObject({ kind: "exit", last: true });
  expect(maps).toMatchObject({ kind: "maps", recorded: true });
  expect(vma).toMatchObject({ kind: "vma", start: 2 ** 64 - 0xa00000, prot: "--xp", path: "[vsyscall]" });
});

test.each([
  ["x", 1, 1, "a time"],
  ["1 2", 1, 4, "the process id"],
  ["0 1 1 F 12g 4", 1, 9, "the address"],
  ["0 1 1 F 12 4\n0 1 1 Q 1", 2, 9, "one of F, FK"],
  ["0 1 1 N 1000", 1, 13, "its end"],
  ["0 1 1 V 2000 1000 r--p 0 x", 1, 23, "START END"],
  ["0 1 1 F 12 4 5", 1, 13, "the end of the line"],
])("a malformed line is an error with its place: %j", async (text, line, column, what) => {
  const error = await records(bytesOf(text)).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(TraceError);
  expect(error).toMatchObject({ code: "TRACE_MALFORMED", line, column, file: "t.trace" });
  expect((error as TraceError).message).toContain(what);
});

test("a missing file, a damaged file and a cut file say so", async () => {
  await expect(records("/nowhere.trace")).rejects.toMatchObject({ code: "TRACE_UNREADABLE" });
  const whole = readFileSync(shippedTraces.git);
  await expect(records({ name: "cut.gz", bytes: whole.subarray(0, 5000) })).rejects.toMatchObject({
    code: "TRACE_COMPRESSION",
  });
  const damaged = Uint8Array.from(whole);
  damaged.fill(0x55, 3000, 3100);
  await expect(records({ name: "damaged.gz", bytes: damaged })).rejects.toBeInstanceOf(TraceError);
});

test("the shipped program traces read to their last line", { timeout: 60_000 }, async () => {
  const counts = await Promise.all(
    [shippedTraces.snapshot, shippedTraces.mmapdb4k, shippedTraces.git].map(
      async (path) => (await records(path)).length,
    ),
  );
  expect(counts).toEqual([19139, 12156, 2389]);
});

test("gzip, plain text and cuts of any size give the same records", async () => {
  const plain = gunzipSync(readFileSync(shippedTraces.git));
  const expected = await records(shippedTraces.git);
  expect(await records({ name: "plain", bytes: plain })).toEqual(expected);
  expect(await records({ name: "again", bytes: gzipSync(plain) })).toEqual(expected);
});

test("no input brings anything but a TraceError", { timeout: 60_000 }, async () => {
  const lines = gunzipSync(readFileSync(shippedTraces.git)).toString("latin1").split("\n");
  const mutated = fc
    .tuple(
      fc.array(fc.constantFrom(...lines), { minLength: 1, maxLength: 5 }),
      fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 4 }),
    )
    .map(([chosen, edits]) => {
      const bytes = Buffer.from(chosen.join("\n"), "latin1");
      for (const [at, byte] of edits) if (at < bytes.length) bytes[at] = byte;
      return Uint8Array.from(bytes);
    });
  const cut = fc.nat(2000).map((length) => Uint8Array.from(readFileSync(shippedTraces.git).subarray(0, length)));
  const zstd = fc
    .tuple(fc.nat(3000), fc.nat(2999), fc.nat(255))
    .map(([length, at, byte]) =>
      Uint8Array.from(readFileSync(shippedTraces.helloPages).subarray(0, length)).fill(byte, at, at + 1),
    );
  const junk = fc.uint8Array({ maxLength: 200 });
  const headed = fc
    .tuple(fc.constantFrom([0x1f, 0x8b], [0x28, 0xb5, 0x2f, 0xfd]), junk)
    .map(([magic, rest]) => Uint8Array.from([...magic, ...rest]));
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated, cut, zstd, junk, headed), (bytes) => survives({ name: "fuzz", bytes })),
    { numRuns: 400 },
  );
});
