import { TraceError } from "../errors.js";

const NEWLINE = 0x0a;
/** Longest line that any trace format has, in bytes. Beyond it the input is not a trace. */
const LONGEST = 1 << 16;

/** What takes the bytes [start, end) of a line, without its newline. */
export type LineConsumer = (bytes: Uint8Array, start: number, end: number, line: number) => void;

/**
 * Cuts chunks of bytes into lines. Lines inside a chunk are not copied; a line that spans chunks is put together once.
 */
export class LineSplitter {
  readonly #file: string;
  readonly #consume: LineConsumer;
  #tail: Uint8Array = new Uint8Array(0);
  #lines = 0;

  constructor(file: string, consume: LineConsumer) {
    this.#file = file;
    this.#consume = consume;
  }

  /** Lines handed out so far. */
  get lines(): number {
    return this.#lines;
  }

  push(chunk: Uint8Array): void {
    let from = 0;
    if (this.#tail.length > 0) {
      const end = chunk.indexOf(NEWLINE);
      if (end < 0) return this.#keep(chunk);
      this.#keep(chunk.subarray(0, end));
      const whole = this.#tail;
      this.#tail = new Uint8Array(0);
      this.#consume(whole, 0, whole.length, ++this.#lines);
      from = end + 1;
    }
    for (let end = chunk.indexOf(NEWLINE, from); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.#consume(chunk, from, end, ++this.#lines);
      from = end + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
  }

  /** Hands out a last line that has no newline. */
  end(): void {
    if (this.#tail.length > 0) this.#consume(this.#tail, 0, this.#tail.length, ++this.#lines);
    this.#tail = new Uint8Array(0);
  }

  #keep(part: Uint8Array): void {
    if (this.#tail.length + part.length > LONGEST) {
      throw new TraceError(
        "TRACE_MALFORMED",
        this.#file,
        { line: this.#lines + 1, column: 1 },
        `expected a line of at most ${LONGEST} bytes, found a longer one. This is no trace`,
      );
    }
    const joined = new Uint8Array(this.#tail.length + part.length);
    joined.set(this.#tail);
    joined.set(part, this.#tail.length);
    this.#tail = joined;
  }
}
