import { didYouMean } from "@mmu-notifier/steps";
import { type Position, quoted, ScriptError, type ScriptErrorCode } from "./errors.js";

interface Word {
  readonly text: string;
  readonly column: number;
}

const SPACE = /\s/;
const INTEGER = /^-?(?:0x[0-9a-f]+|[0-9]+)$/i;
const COMMENT = 0x23;
const TAB = 9;
const CARRIAGE_RETURN = 13;
const BLANK = 32;
const LAST_ASCII = 127;
/** Nothing in a script is larger: what a 64-bit register holds. */
const LARGEST = 2 ** 64;

/**
 * The words of one line, read from left to right. Each reader takes the next word or throws a {@link ScriptError} that points
 * at it and says what was expected.
 */
export class Line {
  readonly file: string;
  readonly number: number;
  /** The line as written, without a comment and surrounding space. */
  readonly text: string;
  readonly #words: readonly Word[];
  readonly #endColumn: number;
  #next = 0;

  constructor(file: string, number: number, source: string) {
    this.file = file;
    this.number = number;
    const words: Word[] = [];
    let end = 0;
    for (let at = 0; ;) {
      while (at < source.length && isSpace(source.charCodeAt(at))) at++;
      if (at === source.length || source.charCodeAt(at) === COMMENT) break;
      const start = at;
      while (at < source.length && !isSpace(source.charCodeAt(at))) at++;
      words.push({ text: source.slice(start, at), column: start + 1 });
      end = at;
    }
    this.#words = words;
    this.#endColumn = end + 1;
    this.text = words.length === 0 ? "" : source.slice(words[0]!.column - 1, end);
  }

  get empty(): boolean {
    return this.#words.length === 0;
  }

  /** Words that are left. */
  get left(): number {
    return this.#words.length - this.#next;
  }

  /** Where the next word starts, or where it would. */
  get position(): Position {
    return { line: this.number, column: this.#words[this.#next]?.column ?? this.#endColumn };
  }

  /** The next word without taking it. */
  peek(): string | undefined {
    return this.#words[this.#next]?.text;
  }

  /** Takes the next word if it is `word`. */
  take(word: string): boolean {
    if (this.peek() !== word) return false;
    this.#next++;
    return true;
  }

  /** An error at the next word. */
  error(code: ScriptErrorCode, what: string, details: Readonly<Record<string, string>> = {}): ScriptError {
    return new ScriptError(code, this.file, this.position, what, details);
  }

  /** An error: the next word is not `expected`, or is missing. */
  expected(expected: string, hint = ""): ScriptError {
    const found = this.peek();
    if (found === undefined)
      return this.error("SCRIPT_MISSING", `expected ${expected}, but the line ends here.${hint}`, { expected });
    return this.error("SCRIPT_EXPECTED", `expected ${expected}, found ${quoted(found)}.${hint}`, { expected, found });
  }

  /** Takes the next word, whatever it is. */
  word(expected: string): string {
    const text = this.peek();
    if (text === undefined) throw this.expected(expected);
    this.#next++;
    return text;
  }

  /** Takes a word that has to look like a name: letters, digits, and `_ . + -` inside. */
  name(expected: string): string {
    const text = this.peek();
    if (text === undefined || !/^[\w][\w.+-]*$/.test(text)) throw this.expected(expected);
    this.#next++;
    return text;
  }

  /** Takes one of `choices`. */
  oneOf<const T extends string>(what: string, choices: readonly T[]): T {
    const text = this.peek();
    const found = choices.find((choice) => choice === text);
    if (found === undefined) {
      const hint = text === undefined ? "" : didYouMean(text, choices);
      throw this.expected(`${what} (${choices.join(", ")})`, hint);
    }
    this.#next++;
    return found;
  }

  /** Takes an integer, decimal or 0x hexadecimal, from `least` to `most`. */
  integer(what: string, least = 0, most = Infinity): number {
    const value = this.#integer(this.peek());
    if (value === undefined || value < least) throw this.expected(least === 0 ? what : `${what} (at least ${least})`);
    if (value > most) throw this.expected(`${what} (at most ${most})`);
    this.#next++;
    return value;
  }

  /** Takes an integer if the next word looks like one, else returns `otherwise`. */
  optionalInteger(what: string, otherwise: number, least = 0, most = Infinity): number {
    const text = this.peek();
    return text !== undefined && INTEGER.test(text) ? this.integer(what, least, most) : otherwise;
  }

  /** Nothing may be left. */
  end(usage: string): void {
    const found = this.peek();
    if (found === undefined) return;
    throw this.error("SCRIPT_SURPLUS", `expected the end of the line, found ${quoted(found)}. Usage: ${usage}`, {
      found,
      expected: "end of line",
    });
  }

  #integer(text: string | undefined): number | undefined {
    if (text === undefined || !INTEGER.test(text)) return undefined;
    const value = text.startsWith("-") ? -Number(text.slice(1)) : Number(text);
    return Math.abs(value) <= LARGEST ? value : undefined;
  }
}

/** What `\s` matches; no expression is asked about the characters that scripts are made of. */
function isSpace(code: number): boolean {
  if (code <= LAST_ASCII) return code === BLANK || (code >= TAB && code <= CARRIAGE_RETURN);
  return SPACE.test(String.fromCharCode(code));
}
