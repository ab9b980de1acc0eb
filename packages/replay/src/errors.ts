import { MmuNotifierError } from "@mmu-notifier/steps";

/** What is wrong with a trace, as a stable code. */
export type TraceErrorCode =
  /** The file does not exist or cannot be read. */
  | "TRACE_UNREADABLE"
  /** The compressed data are damaged or end too early. */
  | "TRACE_COMPRESSION"
  /** A line is not what the format says. */
  | "TRACE_MALFORMED"
  /** The file is neither of the two formats. */
  | "TRACE_FORMAT"
  /** More than 2047 regions of 4 GiB: keys of 32 bits cannot name them. */
  | "TRACE_REGIONS";

/** A place in a trace; lines, columns and bytes count from 1. 0 where the place is not known. */
export interface TracePosition {
  readonly line: number;
  readonly column: number;
}

/**
 * A trace that cannot be read. The message starts with `file:line:column` and says what was expected there.
 *
 * @public
 */
export class TraceError extends MmuNotifierError {
  readonly file: string;
  readonly line: number;
  readonly column: number;

  constructor(code: TraceErrorCode, file: string, at: TracePosition, what: string, options?: ErrorOptions) {
    const place = at.line === 0 ? file : `${file}:${at.line}:${at.column}`;
    super(code, `${place}: ${what}`, { file, line: at.line, column: at.column }, options);
    this.file = file;
    this.line = at.line;
    this.column = at.column;
  }
}

/** What went wrong in a replay of a well-formed trace. */
export type ReplayErrorCode =
  /** An option of the replay is wrong. */
  | "REPLAY_OPTION"
  /** A stripped trace was replayed where stripping is not exact. */
  | "REPLAY_STRIP";

/** A replay that cannot go on, or was asked for something that does not exist. */
export class ReplayError extends MmuNotifierError {
  constructor(code: ReplayErrorCode, message: string, details: Readonly<Record<string, string | number>> = {}) {
    super(code, message, details);
  }
}
