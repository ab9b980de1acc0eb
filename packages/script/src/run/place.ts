import { ARENA_BASE, ARENA_REACH } from "../script.js";
import type { Place } from "./record.js";

const PAGE = 4096;
const REACH_END = ARENA_BASE + ARENA_REACH * PAGE;
/** From here on an end is "everything". */
const MAX = 2 ** 64 - 2 * PAGE;

/** A byte address as records write it. */
export function placeOf(bytes: number): Place {
  if (bytes === 0) return "0";
  if (bytes >= MAX) return "max";
  const page = Math.floor((bytes - ARENA_BASE) / PAGE);
  const inside = bytes - ARENA_BASE - page * PAGE;
  return inside === 0 ? page : `${page}+0x${inside.toString(16)}`;
}

/** True for an address in the part of the address space that scripts use. */
export function isInArena(bytes: number): boolean {
  return bytes >= ARENA_BASE && bytes < REACH_END;
}

/** True when bytes [start, end) touch that part. */
export function touchesArena(start: number, end: number): boolean {
  return start < REACH_END && end > ARENA_BASE;
}
