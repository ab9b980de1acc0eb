import { MmuNotifierError } from "@mmu-notifier/steps";

/** A place in a script file; lines and columns count from 1, columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** What went wrong in a script, as a stable code. */
export type ScriptErrorCode =
  /** The file is not text. */
  | "SCRIPT_NOT_TEXT"
  /** The first word of a line is no op and no directive. */
  | "SCRIPT_UNKNOWN_OP"
  /** A word is missing. */
  | "SCRIPT_MISSING"
  /** A word is there but is not what belongs there. */
  | "SCRIPT_EXPECTED"
  /** Words are left after the last argument. */
  | "SCRIPT_SURPLUS"
  /** A device, thread or script of that name exists already. */
  | "SCRIPT_DUPLICATE"
  /** `dev NAME` without `device NAME` before it, or `reap c1` without a fork. */
  | "SCRIPT_UNDECLARED"
  /** A thread block inside another, a directive inside one, a block that is not closed. */
  | "SCRIPT_BLOCK";

/**
 * A script that cannot be understood. The message starts with `file:line:column` and says what was expected there.
 *
 * @public
 */
export class ScriptError extends MmuNotifierError {
  readonly file: string;
  readonly line: number;
  readonly column: number;

  constructor(
    code: ScriptErrorCode,
    file: string,
    at: Position,
    what: string,
    details: Readonly<Record<string, string>> = {},
  ) {
    super(code, `${file}:${at.line}:${at.column}: ${what}`, { ...details, file, line: at.line, column: at.column });
    this.file = file;
    this.line = at.line;
    this.column = at.column;
  }
}

/** A word of the user's for a message: quoted, without control characters, shortened. */
export function quoted(word: string): string {
  const short = word.length > 40 ? `${word.slice(0, 40)}…` : word;
  return JSON.stringify(short);
}
