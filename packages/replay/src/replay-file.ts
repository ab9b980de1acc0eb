import { TraceError } from "./errors.js";
import type { ReplayOptions } from "./options.js";
import type { ReplayReport } from "./program/report.js";
import { readChunks, sourceName, type TraceSource } from "./read/chunks.js";
import { replayPages } from "./replay-pages.js";
import { replayProgram } from "./replay-program.js";

/** The kinds of traces that can be replayed. */
export type TraceFormat = "program" | "pages";

/**
 * Tells the format of a trace from its first byte: a program trace begins with a time, a page trace with the kind of an access.
 *
 * @throws TraceError TRACE_FORMAT, TRACE_UNREADABLE, TRACE_COMPRESSION
 */
export async function traceFormat(source: TraceSource): Promise<TraceFormat> {
  for await (const chunk of readChunks(source)) {
    const first = String.fromCodePoint(chunk[0]!);
    if (/\d/.test(first)) return "program";
    if (/[ILSM!]/.test(first)) return "pages";
    break;
  }
  throw new TraceError(
    "TRACE_FORMAT",
    sourceName(source),
    { line: 1, column: 1 },
    `expected a program trace (lines "TIME TID TGID KIND ...") or a page trace (lines "L PAGE COUNT"); it is neither`,
  );
}

/**
 * Replays a trace file of either format, compressed or not.
 *
 * @throws TraceError, ReplayError, MachineError for unknown names
 * @public
 */
export async function replayFile(source: TraceSource, options: ReplayOptions = {}): Promise<ReplayReport> {
  return (await traceFormat(source)) === "program" ? replayProgram(source, options) : replayPages(source, options);
}
