import { TraceError } from "../errors.js";

const SPACE = 0x20;
const ZERO = 0x30;
const NINE = 0x39;
const MINUS = 0x2d;
const X = 0x78;
/** 2^52: how many pages a 64-bit address space has. */
const PAGES = 2 ** 52;
const DECODER = new TextDecoder();

/** Value of a hexadecimal digit in ASCII, or -1. */
export function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/**
 * Reads the fields of one line of a trace, left to right, straight from the bytes.
 *
 * Numbers above 2^53 keep their page exactly; the offset inside the page may be rounded.
 */
export class LineCursor {
  readonly #file: string;
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #at = 0;
  #end = 0;
  #line = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Moves to the bytes [start, end) of line number `line`. */
  open(bytes: Uint8Array, start: number, end: number, line: number): this {
    this.#bytes = bytes;
    this.#start = this.#at = start;
    this.#end = end;
    this.#line = line;
    return this;
  }

  get line(): number {
    return this.#line;
  }

  /** True when nothing is left of the line. */
  get done(): boolean {
    return this.#at >= this.#end;
  }

  /** An error at the field that would be read next. */
  error(expected: string): TraceError {
    const rest = DECODER.decode(this.#bytes.subarray(this.#at, Math.min(this.#end, this.#at + 24)));
    const found = this.done ? "the end of the line" : JSON.stringify(rest);
    return new TraceError(
      "TRACE_MALFORMED",
      this.#file,
      { line: this.#line, column: this.#at - this.#start + 1 },
      `expected ${expected}, found ${found}`,
    );
  }

  /** A decimal number. */
  decimal(what: string): number {
    const from = this.#at;
    let value = 0;
    let digit: number;
    while (this.#at < this.#end && (digit = this.#bytes[this.#at]! - ZERO) >= 0 && digit <= 9) {
      value = value * 10 + digit;
      this.#at++;
    }
    if (this.#at === from || this.#at - from > 20) {
      this.#at = from;
      throw this.error(`${what} (a decimal number)`);
    }
    this.#endOfField(from, what);
    return value;
  }

  /** A decimal number that may be negative. */
  signedDecimal(what: string): number {
    if (this.#bytes[this.#at] !== MINUS || this.done) return this.decimal(what);
    this.#at++;
    return -this.decimal(what);
  }

  /** A hexadecimal number of up to 64 bits, without 0x. */
  hex(what: string): number {
    const { page, offset } = this.#hex(what);
    return page * 4096 + offset;
  }

  /** A number as the C formats %#lx and %lu write it: hexadecimal after 0x, decimal otherwise. */
  number(what: string): number {
    return this.#prefixed() ? this.hex(what) : this.decimal(what);
  }

  /** As {@link number}, read as a signed 64-bit value: what a system call returned. */
  signed(what: string): number {
    if (!this.#prefixed()) return this.signedDecimal(what);
    const { page, offset } = this.#hex(what);
    return (page >= PAGES / 2 ? page - PAGES : page) * 4096 + offset;
  }

  /** A word up to the next space. */
  word(what: string): string {
    const from = this.#at;
    while (this.#at < this.#end && this.#bytes[this.#at] !== SPACE) this.#at++;
    if (this.#at === from) throw this.error(what);
    return DECODER.decode(this.#bytes.subarray(from, this.#at));
  }

  /** The space between two fields. */
  space(next: string): void {
    if (this.done || this.#bytes[this.#at] !== SPACE) throw this.error(`a space and ${next}`);
    this.#at++;
  }

  /** Everything up to the end of the line. */
  rest(what: string): string {
    if (this.done) throw this.error(what);
    const text = DECODER.decode(this.#bytes.subarray(this.#at, this.#end));
    this.#at = this.#end;
    return text;
  }

  /** @throws TraceError unless the line ends here */
  finish(): void {
    if (!this.done) throw this.error("the end of the line");
  }

  #prefixed(): boolean {
    if (this.#at + 1 >= this.#end || this.#bytes[this.#at] !== ZERO || this.#bytes[this.#at + 1] !== X) return false;
    this.#at += 2;
    return true;
  }

  /** Page and offset apart, since a double holds 53 bits. */
  #hex(what: string): { readonly page: number; readonly offset: number } {
    const from = this.#at;
    let page = 0;
    let offset = 0;
    let digit: number;
    while (this.#at < this.#end && (digit = hexDigit(this.#bytes[this.#at]!)) >= 0) {
      page = page * 16 + (offset >> 8);
      offset = ((offset & 0xff) << 4) | digit;
      this.#at++;
    }
    if (this.#at === from || this.#at - from > 16) {
      this.#at = from;
      throw this.error(`${what} (a hexadecimal number of up to 64 bits)`);
    }
    this.#endOfField(from, what);
    return { page, offset };
  }

  #endOfField(from: number, what: string): void {
    if (this.done || this.#bytes[this.#at] === SPACE) return;
    this.#at = from;
    throw this.error(`${what} followed by a space`);
  }
}
