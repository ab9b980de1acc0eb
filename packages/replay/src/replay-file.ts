import { TraceError } from "./errors.js";
import type { ReplayOptions } from "./options.js";
import type { ReplayReport } from "./program/report.js";
import { readChunks, sourceName, type TraceSource } from "./read/chunks.js";
import { converted } from "./read/foreign-trace.js";
import { replayPages } from "./replay-pages.js";
import { replayProgram } from "./replay-program.js";

/** The kinds of traces that can be replayed. */
export type TraceFormat = "program" | "pages";

/** `4354  1795327323.121899 execve("/gcc", …` with or without its first two fields. */
const STRACE = /^(?:\[pid +\d+\] +|\d+ +)?(?:[\d:.]+ +)?(?:\w+\(|<\.\.\. )/;

/**
 * Tells the format of a trace from how it begins: a program trace with a time, a page trace with the kind of an access.
 *
 * @throws TraceError TRACE_FORMAT, TRACE_UNREADABLE, TRACE_COMPRESSION
 */
export async function traceFormat(source: TraceSource): Promise<TraceFormat> {
  let head = "";
  for await (const chunk of readChunks(source)) {
    head += new TextDecoder().decode(chunk.subarray(0, 200));
    if (head.length >= 100) break;
  }
  if (STRACE.test(head)) {
    refuse(
      source,
      "this is a log of strace: it has the system calls, but not the page faults that make entries in page tables. Record both, as packages/replay/traces/PROVENANCE.md says",
    );
  }
  if (/^\d/.test(head)) return "program";
  if (/^[ILSM!]/.test(head)) return "pages";
  return refuse(
    source,
    `expected a program trace (lines "TIME TID TGID KIND ...") or a page trace (lines "L PAGE COUNT"); it is ${head === "" ? "empty" : "neither"}`,
  );
}

function refuse(source: TraceSource, what: string): never {
  throw new TraceError("TRACE_FORMAT", sourceName(source), { line: 1, column: 1 }, what);
}

/**
 * Replays a trace file of either format, compressed or not, or of a format that a trace reader of the registry recognizes.
 *
 * @throws TraceError, ReplayError, MachineError for unknown names
 * @public
 */
export async function replayFile(source: TraceSource, options: ReplayOptions = {}): Promise<ReplayReport> {
  const native = await converted(source, options.registry);
  return (await traceFormat(native)) === "program" ? replayProgram(native, options) : replayPages(native, options);
}
