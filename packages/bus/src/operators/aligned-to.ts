import { map, type MonoTypeOperatorFunction } from "rxjs";
import { BusError } from "../errors.js";
import type { MmuNotification } from "../notification.js";
import { reshaped } from "./reshape.js";

/** `multiple`: whole granules. `power-of-two`: one naturally aligned span of 2^n granules, as ATC_INV encodes it. */
export type AlignedShape = "multiple" | "power-of-two";

/**
 * Widens each range outwards to whole granules: 4096 for pages, 2 MiB for huge pages. With `power-of-two` the result is the
 * smallest naturally aligned span of 2^n granules that covers the range, which can be far larger than it.
 *
 * ```
 * [0x1800, 0x5000)
 *     alignedTo(0x1000)
 * [0x1000, 0x5000)
 *     alignedTo(0x1000, 'power-of-two')
 * [0x0000, 0x8000)
 * ```
 *
 * @param granule - bytes, a power of two
 * @throws BusError BUS_ALIGNMENT when the granule is no power of two
 * @public
 */
export function alignedTo(
  granule: number,
  shape: AlignedShape = "multiple",
): MonoTypeOperatorFunction<MmuNotification> {
  if (!(granule >= 1) || !Number.isInteger(Math.log2(granule))) {
    throw new BusError(
      "BUS_ALIGNMENT",
      `alignedTo: the granule is a power of two of bytes, not ${granule}. Pages of 4 KiB are 4096`,
      { granule },
    );
  }
  return map((n) => {
    let size = granule;
    if (shape === "power-of-two") while (Math.ceil(n.end / size) - Math.floor(n.start / size) > 1) size *= 2;
    return reshaped(n, Math.floor(n.start / size) * size, Math.ceil(n.end / size) * size);
  });
}
