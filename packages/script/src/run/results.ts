import { errnoName } from "@mmu-notifier/core";
import { isInArena, placeOf } from "./place.js";
import type { OpResult } from "./record.js";

/** What an op came to, and a mapping outside of the arena that has to go once the record is made. */
export interface Outcome extends OpResult {
  readonly cleanup?: { readonly address: number; readonly length: number };
}

/** A count, or -errno. */
export function counted(result: number): OpResult {
  return result < 0 ? { err: errnoName(result) } : { ret: result };
}

/** An address in bytes, or -errno. */
export function addressed(result: number, length: number): Outcome {
  if (result < 0) return { err: errnoName(result) };
  if (isInArena(result)) return { ret: placeOf(result) };
  return result === 0 ? { ret: "out" } : { ret: "out", cleanup: { address: result, length } };
}
