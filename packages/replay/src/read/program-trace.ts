import { type ReadProgress, readChunks, sourceName, type TraceSource } from "./chunks.js";
import { LineCursor } from "./line-cursor.js";
import { LineSplitter } from "./lines.js";
import type { TraceRecord } from "./trace-record.js";

const KINDS = "F, FK, N, A, T, S, R, NEW, EXEC, EXIT, MAPS or V";
const PROT = /^[r-][w-][x-][ps]$/;

/**
 * The records of a program trace, a chunk at a time and in the order of the file. An empty file has none.
 *
 * @throws TraceError
 * @public
 */
export async function* readProgramTrace(
  source: TraceSource,
  onRead?: (progress: ReadProgress) => void,
): AsyncGenerator<readonly TraceRecord[]> {
  const file = sourceName(source);
  const cursor = new LineCursor(file);
  let batch: TraceRecord[] = [];
  const splitter = new LineSplitter(file, (bytes, start, end, line) => {
    batch.push(parseRecord(cursor.open(bytes, start, end, line)));
  });
  for await (const chunk of readChunks(source, onRead)) {
    splitter.push(chunk);
    if (batch.length > 0) yield batch;
    batch = [];
  }
  splitter.end();
  if (batch.length > 0) yield batch;
}

function parseRecord(c: LineCursor): TraceRecord {
  const time = c.decimal("a time in microseconds");
  c.space("the thread id");
  const tid = c.decimal("the thread id");
  c.space("the process id");
  const tgid = c.decimal("the process id");
  c.space(KINDS);
  const stamp = { line: c.line, time, tid, tgid };
  const kind = c.word(KINDS);
  c.space(`the arguments of ${kind}`);
  const record = parseArguments(c, stamp, kind);
  c.finish();
  return record;
}

type Stamp = Pick<TraceRecord, "line" | "time" | "tid" | "tgid">;

function parseArguments(c: LineCursor, stamp: Stamp, kind: string): TraceRecord {
  switch (kind) {
    case "F":
    case "FK": {
      const address = c.hex("the address of the fault");
      return { ...stamp, kind: "fault", kernel: kind === "FK", address, code: next(c, "the error code") };
    }
    case "N":
    case "A": {
      const start = c.hex("the start of the range");
      c.space("its end");
      return { ...stamp, kind: kind === "N" ? "notify" : "age", start, end: c.hex("the end of the range") };
    }
    case "T": {
      const pages = c.signedDecimal("a number of pages");
      return { ...stamp, kind: "flush", pages, reason: next(c, "the reason of the flush") };
    }
    case "S":
      return { ...stamp, kind: "call", name: c.word("a system call"), args: numbers(c) };
    case "R": {
      const name = c.word("a system call");
      c.space("its result");
      return { ...stamp, kind: "return", name, result: c.signed("its result") };
    }
    case "NEW": {
      const child = c.decimal("the id of the new thread");
      c.space("its clone flags");
      return { ...stamp, kind: "new", child, flags: c.hex("clone flags") };
    }
    case "EXEC": {
      const [, file = "", oldTid = ""] = /^(.*) (\d+)$/.exec(c.rest("a program and a thread id")) ?? [];
      if (oldTid === "") throw c.error("a program and a thread id");
      return { ...stamp, kind: "exec", file, oldTid: Number(oldTid) };
    }
    case "EXIT":
      return { ...stamp, kind: "exit", last: c.decimal("0 or 1") !== 0 };
    case "MAPS":
      return { ...stamp, kind: "maps", recorded: c.rest("vm=0 or vm=1") === "vm=1" };
    case "V":
      return parseVma(c, stamp);
    default:
      throw c.error(`after one of ${KINDS}, not ${JSON.stringify(kind)},`);
  }
}

function parseVma(c: LineCursor, stamp: Stamp): TraceRecord {
  const start = c.hex("the start of the mapping");
  c.space("its end");
  const end = c.hex("the end of the mapping");
  c.space("its permissions");
  const prot = c.word("permissions such as rw-p");
  if (!PROT.test(prot) || end <= start) throw c.error("a mapping START END r-xp OFFSET PATH before this");
  c.space("the offset");
  const offset = c.hex("the offset");
  c.space("a path or -");
  return { ...stamp, kind: "vma", start, end, prot, offset, path: c.rest("a path or -") };
}

function next(c: LineCursor, what: string): number {
  c.space(what);
  return c.decimal(what);
}

function numbers(c: LineCursor): readonly number[] {
  const values: number[] = [];
  while (!c.done) {
    c.space("an argument");
    values.push(c.number("an argument"));
  }
  return values;
}
