import { alignedSpan } from "../page-span.js";
import { atcInv, type Command, tlbiNhAsid, tlbiNhVa } from "./commands.js";

/** CMDQ_MAX_TLBI_OPS at a granule of 2^pageShift bytes: from this many pages on the whole address space is cheaper. */
export const maxTlbiOps = (pageShift = 12): number => 2 ** (pageShift - 3);

const NUM_MAX = 31;

/** How TLBI commands for a range are chosen. */
export interface RangeOptions {
  /** IDR3.RIL: one command covers NUM times 2^SCALE pages. */
  readonly ril: boolean;
  /** Only leaf entries changed. @defaultValue false */
  readonly leaf?: boolean;
  /** log2 of the granule. @defaultValue 12 */
  readonly pageShift?: number;
}

/**
 * The TLBI commands for pages [start, end) of `asid`, as arm_smmu_mm_arch_invalidate_secondary_tlbs() chooses them.
 *
 * Without RIL a command a page, and from {@link maxTlbiOps} pages on (inclusive) one TLBI by ASID. With RIL a command for each
 * group of five bits of the number of pages; a non-leaf range whose last group is 1 is made one page longer, because
 * SCALE = NUM = 0 is reserved there. An `end` of Infinity is the whole address space.
 */
export function tlbiRange(
  asid: number,
  start: number,
  end: number,
  { ril, leaf = false, pageShift = 12 }: RangeOptions,
): Command[] {
  const pages = end - start;
  if (end === Infinity || (!ril && pages >= maxTlbiOps(pageShift))) return [tlbiNhAsid(asid)];
  if (!ril) return Array.from({ length: pages }, (_, i) => tlbiNhVa(asid, start + i, 1, leaf));
  const commands: Command[] = [];
  let left = !leaf && pages % (NUM_MAX + 1) === 1 ? pages + 1 : pages;
  for (let at = start; left > 0;) {
    let unit = 1;
    while (left % (unit * 2) === 0) unit *= 2;
    const covered = Math.min(NUM_MAX, Math.floor(left / unit) % (NUM_MAX + 1)) * unit;
    commands.push(tlbiNhVa(asid, at, covered, leaf));
    at += covered;
    left -= covered;
  }
  return commands;
}

/** CMD_ATC_INV for pages [start, end): one command, for the aligned span around them. */
export function atcInvRange(sid: number, ssid: number, start: number, end: number): Command {
  const span = alignedSpan(start, end);
  return atcInv(sid, ssid, span.start, span.pages);
}
