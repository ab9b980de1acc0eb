import type { Position } from "./errors.js";
import type { Op } from "./ops/op.js";

/** `NAME=VALUE` of a device line: a number if it looks like one, `true` or `false`, else text. A name alone is `true`. */
export type DeviceOption = string | number | boolean;

/** `device NAME driver DRIVER [key=value …]`: attached to the script's process before its first op. */
export interface DeviceLine {
  readonly name: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, DeviceOption>>;
  readonly position: Position;
}

/** One line that does something. */
export interface Statement {
  /** Place among the script's ops, from 0; devices and directives do not count. */
  readonly index: number;
  readonly op: Op;
  /** The line as written, without comment. */
  readonly text: string;
  readonly position: Position;
  /** The thread block it stands in. */
  readonly thread: string | undefined;
}

/** The byte that an op stores unless it says otherwise: 1 to 99, by its place in the script. */
export function storedByte({ index }: Pick<Statement, "index">): number {
  return (index % 99) + 1;
}

/** One scenario: a process, its devices, what happens. */
export interface Script {
  readonly name: string;
  readonly file: string;
  /** Pages that are looked at, from the arena's base; 64 more behind them are looked at too. */
  readonly arena: number;
  readonly kernel: string | undefined;
  readonly arch: string | undefined;
  readonly devices: readonly DeviceLine[];
  /** Names of the thread blocks in order of appearance. */
  readonly threads: readonly string[];
  /** All statements in the order of the file. */
  readonly statements: readonly Statement[];
  /** Children that the script forks. */
  readonly children: number;
  readonly position: Position;
}

/** Virtual address of arena page 0, in bytes. */
export const ARENA_BASE = 0x2000_0000_0000;
/** The same as a page number. */
export const ARENA_PAGE = ARENA_BASE / 4096;
/** Pages behind the arena that snapshots include. */
export const SLACK_PAGES = 64;
/** The largest arena. */
export const ARENA_MAX = 8192;
/** Pages from the base within which an address counts as "in the arena" for results and events (512 GiB). */
export const ARENA_REACH = 0x80_0000_0000 / 4096;
