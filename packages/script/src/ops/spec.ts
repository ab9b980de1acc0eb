import { didYouMean } from "@mmu-notifier/steps";
import type { Line } from "../line.js";
import { ADVICE, type Op, PROT_EXEC, PROT_READ, PROT_WRITE, type Span } from "./op.js";

/** What names mean where an op stands: the children forked so far. */
export interface Scope {
  /** Number of the child that a word means; throws when no such child can exist. */
  child(line: Line): number;
  /** A fork: the number of the new child. */
  fork(name: string | undefined): number;
}

/** One op: how it is written, what it does, and how its words become an {@link Op}. */
export interface OpSpec {
  readonly name: string;
  /** For messages and help: `unmap S L`. */
  readonly usage: string;
  /** One line of help. */
  readonly summary: string;
  readonly parse: (line: Line, scope: Scope) => Op;
}

export function spec(usage: string, summary: string, parse: OpSpec["parse"]): OpSpec {
  return { name: usage.split(" ", 1)[0]!, usage, summary, parse };
}

/** `S L`: first page and number of pages. */
export function span(line: Line): Span {
  return { start: line.integer("a first page"), pages: line.integer("a number of pages") };
}

/** Pages that one op may access one after another: 4 GiB. More is a slip of the pen, and would take for ever. */
export const ACCESSES_MAX = 2 ** 20;

/** `P [N]`: a page to access, and how many. */
export function pageOrSpan(line: Line): Span & { readonly ranged: boolean } {
  const start = line.integer("a page");
  const ranged = line.left > 0;
  return { start, pages: ranged ? line.integer("a number of pages", 0, ACCESSES_MAX) : 1, ranged };
}

/** `rwx` with dashes or without, or `none`. */
export function prot(line: Line): number {
  const text = line.peek();
  if (text === undefined || !(text === "none" || /^(?=.)[r-]?[w-]?[x-]?$/.test(text)))
    throw line.expected("a protection such as rw- or none");
  line.word("");
  if (text === "none") return 0;
  return (
    (text.includes("r") ? PROT_READ : 0) | (text.includes("w") ? PROT_WRITE : 0) | (text.includes("x") ? PROT_EXEC : 0)
  );
}

/** A madvise() advice by name or number. */
export function advice(line: Line): number {
  const text = line.peek();
  const known = text === undefined ? undefined : Object.hasOwn(ADVICE, text) ? ADVICE[text] : undefined;
  if (known !== undefined) {
    line.word("");
    return known;
  }
  if (text !== undefined && /^\d+$/.test(text)) return line.integer("an advice");
  throw line.expected("an advice such as dontneed", text === undefined ? "" : didYouMean(text, Object.keys(ADVICE)));
}

/** The name of a file that the runner makes or that the script made. */
export function file(line: Line): string {
  return line.name("a file such as mem or file");
}
