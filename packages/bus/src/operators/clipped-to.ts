import { filter, map, type MonoTypeOperatorFunction } from "rxjs";
import type { MmuNotification } from "../notification.js";
import { reshaped } from "./reshape.js";

/**
 * Passes the part of each range that lies in [start, end) bytes; drops what lies outside.
 *
 * Release covers everything and arrives clipped. An empty range is dropped.
 *
 * ```
 * [0x1000, 0x9000)   [0xa000, 0xb000)
 *     clippedTo({ start: 0x4000, end: 0x6000 })
 * [0x4000, 0x6000)
 * ```
 *
 * @public
 */
export function clippedTo(window: {
  readonly start: number;
  readonly end: number;
}): MonoTypeOperatorFunction<MmuNotification> {
  const { start, end } = window;
  return (source) =>
    source.pipe(
      filter((n) => Math.max(n.start, start) < Math.min(n.end, end)),
      map((n) => reshaped(n, Math.max(n.start, start), Math.min(n.end, end))),
    );
}
