import { RegionTable } from "../tlb/region-table.js";
import { TraceError } from "../errors.js";
import { type ReadProgress, readChunks, sourceName, type TraceSource } from "./chunks.js";
import { LineCursor, hexDigit } from "./line-cursor.js";
import { LineSplitter } from "./lines.js";

const NEWLINE = 0x0a;
const SPACE = 0x20;
const BANG = 0x21;
const [I, S, L, M] = [0x49, 0x53, 0x4c, 0x4d];
/** Runs of accesses handed out at once. */
const BATCH = 1 << 16;
/** Digits of a page number below 2^52, and of a count below 10^9. */
const PAGE_DIGITS = 13;
const COUNT_DIGITS = 9;

/** A system call of a page trace: `!munmap 0x4000, 4096 = 0x0`. */
export interface PageTraceCall {
  readonly line: number;
  readonly name: string;
  readonly args: readonly number[];
  readonly result: number;
}

/**
 * Part of a page trace: `length` runs of accesses, each `counts[i]` times the access `keys[i]`, and then perhaps a system
 * call. The arrays are reused for the next part.
 *
 * @public
 */
export interface PageTracePart {
  readonly keys: Int32Array;
  readonly counts: Int32Array;
  readonly length: number;
  readonly call?: PageTraceCall;
}

/** How a page trace is read. */
export interface PageTraceOptions {
  /** Reads instruction fetches (`I`) as reads. Default false: they go through a TLB of their own. */
  readonly instructions?: boolean;
  readonly regions?: RegionTable;
  readonly onRead?: (progress: ReadProgress) => void;
}

/**
 * Reads a trace of page accesses: lines `KIND PAGE COUNT` with KIND I, L, S or M (fetch, load, store, modify), PAGE
 * hexadecimal and COUNT the number of such accesses in a row, and lines `!name args = result`.
 *
 * A modify is one write. Every access becomes one int32 here, once; see {@link RegionTable}.
 *
 * @throws TraceError
 * @public
 */
export async function* readPageTrace(
  source: TraceSource,
  options: PageTraceOptions = {},
): AsyncGenerator<PageTracePart> {
  const scanner = new PageScanner(sourceName(source), options);
  for await (const chunk of readChunks(source, options.onRead)) yield* scanner.parts(chunk, false);
  yield* scanner.parts(new Uint8Array([NEWLINE]), true);
}

class PageScanner {
  readonly #instructions: boolean;
  readonly #regions: RegionTable;
  readonly #keys = new Int32Array(BATCH);
  readonly #counts = new Int32Array(BATCH);
  readonly #cursor: LineCursor;
  readonly #spanning: LineSplitter;
  #length = 0;
  #line = 0;
  #call: PageTraceCall | undefined;
  #partial = false;

  constructor(file: string, options: PageTraceOptions) {
    this.#instructions = options.instructions ?? false;
    this.#regions = options.regions ?? new RegionTable(file);
    this.#cursor = new LineCursor(file);
    this.#spanning = new LineSplitter(file, (bytes, start, end) => this.#slow(bytes, start, end));
  }

  *parts(chunk: Uint8Array, last: boolean): Generator<PageTracePart> {
    let at = 0;
    if (this.#partial) {
      const end = chunk.indexOf(NEWLINE);
      this.#spanning.push(end < 0 ? chunk : chunk.subarray(0, end + 1));
      if (end < 0) return;
      this.#partial = false;
      at = end + 1;
      if (this.#length === BATCH || this.#call !== undefined) yield this.#part();
    }
    const end = last ? 0 : chunk.lastIndexOf(NEWLINE) + 1;
    while (at < end) {
      at = this.#scan(chunk, at, end);
      if (at < end || this.#length === BATCH || this.#call !== undefined) yield this.#part();
    }
    if (!last && end < chunk.length) {
      this.#spanning.push(chunk.subarray(Math.max(at, end)));
      this.#partial = true;
    }
    if (last && this.#length > 0) yield this.#part();
  }

  #part(): PageTracePart {
    const part = { keys: this.#keys, counts: this.#counts, length: this.#length };
    const call = this.#call;
    this.#length = 0;
    this.#call = undefined;
    return call === undefined ? part : { ...part, call };
  }

  /** Scans whole lines of [at, end); returns where it stopped: at the end, at a full batch, or after a system call. */
  #scan(bytes: Uint8Array, at: number, end: number): number {
    const keys = this.#keys;
    const counts = this.#counts;
    const regions = this.#regions;
    let length = this.#length;
    let line = this.#line;
    let lastHigh = -1;
    let region = 0;
    while (at < end && length < BATCH) {
      const start = at;
      const kind = bytes[at]!;
      // A short line: KIND SPACE hex SPACE decimal NEWLINE. Anything else goes to the slow parser, which knows all errors.
      let low = 0;
      let high = 0;
      let digit = 0;
      let p = at + 2;
      for (; (digit = hexDigit(bytes[p]!)) >= 0; p++) {
        high = high * 16 + (low >>> 16);
        low = ((low & 0xffff) << 4) | digit;
      }
      const pageDigits = p - at - 2;
      let count = 0;
      let q = p + 1;
      for (; (digit = bytes[q]! - 0x30) >= 0 && digit <= 9; q++) count = count * 10 + digit;
      const countDigits = q - p - 1;
      if (
        (kind !== L && kind !== S && kind !== M && kind !== I) ||
        bytes[at + 1] !== SPACE ||
        pageDigits === 0 ||
        pageDigits > PAGE_DIGITS ||
        bytes[p] !== SPACE ||
        countDigits === 0 ||
        countDigits > COUNT_DIGITS ||
        count === 0 ||
        bytes[q] !== NEWLINE
      ) {
        this.#length = length;
        this.#line = line;
        const newline = bytes.indexOf(NEWLINE, start);
        this.#slow(bytes, start, newline);
        return newline + 1;
      }
      line++;
      at = q + 1;
      if (kind === I && !this.#instructions) continue;
      if (high !== lastHigh) {
        region = regions.regionOf(high);
        lastHigh = high;
      }
      keys[length] = (region << 21) | (low << 1) | (kind === S || kind === M ? 1 : 0);
      counts[length++] = count;
    }
    this.#length = length;
    this.#line = line;
    return at;
  }

  #slow(bytes: Uint8Array, start: number, end: number): void {
    const c = this.#cursor.open(bytes, start, end, ++this.#line);
    if (bytes[start] === BANG && end > start) {
      this.#call = parseCall(new TextDecoder().decode(bytes.subarray(start, end)), c);
      return;
    }
    const kind = c.done ? "" : c.word("I, L, S, M or !");
    if (!["I", "L", "S", "M"].includes(kind)) throw c.open(bytes, start, end, this.#line).error("I, L, S, M or !");
    c.space("a page number");
    const page = c.hex("a page number below 2^52");
    if (page >= 2 ** 52) throw c.error("a page number below 2^52 before this");
    c.space("a count");
    const count = c.decimal("a count");
    c.finish();
    if (count === 0 || count >= 10 ** COUNT_DIGITS)
      throw c.error(`a count from 1 to ${10 ** COUNT_DIGITS - 1} before this`);
    if (kind === "I" && !this.#instructions) return;
    this.#keys[this.#length] = this.#regions.key(page, kind === "S" || kind === "M" ? 1 : 0);
    this.#counts[this.#length++] = count;
  }
}

const CALL = /^!(\w+) (.*) = (-?\w+)(?: .*)?$/;

function parseCall(text: string, at: LineCursor): PageTraceCall {
  const [, name = "", list = "", result = ""] = CALL.exec(text) ?? [];
  const args = list.split(/, ?/).map(Number);
  const value = Number(result);
  if (name === "" || Number.isNaN(value) || args.some(Number.isNaN)) throw at.error("!name arg, arg = result");
  return { line: at.line, name, args, result: value };
}

/**
 * Writes every access of a run list as one word of its own: the form in which a trace is replayed without runs.
 *
 * @throws TraceError TRACE_MALFORMED when the counts add up to more than `limit`
 */
export function expandRuns(
  parts: readonly { readonly keys: Int32Array; readonly counts: Int32Array }[],
  limit = 2 ** 30,
): Int32Array {
  let total = 0;
  for (const { counts } of parts) for (let i = 0; i < counts.length; i++) total += counts[i]!;
  if (total > limit) {
    throw new TraceError(
      "TRACE_MALFORMED",
      "trace",
      { line: 0, column: 0 },
      `expected at most ${limit} accesses, found ${total}. Replay runs`,
    );
  }
  const expanded = new Int32Array(total);
  let at = 0;
  for (const { keys, counts } of parts) {
    for (let i = 0; i < keys.length; i++) {
      expanded.fill(keys[i]!, at, at + counts[i]!);
      at += counts[i]!;
    }
  }
  return expanded;
}
