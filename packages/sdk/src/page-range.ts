import { type MmuNotification, ULONG_MAX } from "@mmu-notifier/bus";
import { PAGE_SIZE } from "@mmu-notifier/core";

/** Pages [start, end); an `end` of Infinity is the end of the address space. */
export interface PageRange {
  readonly start: number;
  readonly end: number;
}

/** The pages that a notification is about: its bytes, rounded outwards. */
export function pageRange({ start, end }: Pick<MmuNotification, "start" | "end">): PageRange {
  return { start: Math.floor(start / PAGE_SIZE), end: end >= ULONG_MAX ? Infinity : Math.ceil(end / PAGE_SIZE) };
}

/** flush_tlb_mm() and its kin: everything the mm maps. A range of no bytes means the same to arm64's drivers. */
export function isWholeMm({ start, end }: Pick<MmuNotification, "start" | "end">): boolean {
  return end - start === 0 || (start === 0 && end >= ULONG_MAX);
}
