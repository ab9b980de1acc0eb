import type { Memory, Segment } from "@mmu-notifier/steps";
import { PFN_SHIFT, type Pte, PTE_HUGE } from "../pte.js";

const ASID = 1;
const VPN = 1; // as a double: words 2 and 3
const ENTRY = 4;
const SPAN = 5;
const STRIDE = 6;

/**
 * The TLBs of the CPUs: fully associative, replaced round robin, any valid entry seen since the last invalidation may stay.
 * Entries are the leaf as it was walked. With no entries every access walks.
 */
export class CpuTlbs {
  readonly entries: number;
  readonly #segments: readonly Segment[];

  constructor(memory: Memory, cpus: number, entries: number) {
    this.entries = entries;
    this.#segments =
      entries === 0
        ? []
        : Array.from({ length: cpus }, (_, cpu) => memory.segment(`tlb of cpu${cpu}`, STRIDE, entries));
  }

  /** The cached leaf for page `vpn` of `asid`, or 0. For a block, the frame of `vpn` itself is in the entry. */
  lookup(cpu: number, asid: number, vpn: number): Pte {
    const segment = this.#segments[cpu];
    if (segment === undefined) return 0;
    const row = this.#find(segment, asid, vpn);
    if (row === 0) return 0;
    const entry = segment.i32[row * STRIDE + ENTRY]!;
    return entry + ((vpn - segment.f64[(row * STRIDE) / 2 + VPN]!) << PFN_SHIFT);
  }

  /** Caches leaf `pte`, which maps `span` pages from page `vpn` rounded down. */
  insert(cpu: number, asid: number, vpn: number, pte: Pte, span: number): void {
    const segment = this.#segments[cpu];
    if (segment === undefined) return;
    const row =
      this.#find(segment, asid, vpn) || (segment.live < this.entries ? segment.alloc() : this.#victim(segment));
    const at = row * STRIDE;
    segment.i32[at + ASID] = asid;
    segment.f64[at / 2 + VPN] = vpn - (vpn % span);
    segment.i32[at + ENTRY] = span > 1 ? pte | PTE_HUGE : pte;
    segment.i32[at + SPAN] = span;
  }

  /** Drops entries of `asid` that overlap pages [start, end) on one CPU. */
  invalidate(cpu: number, asid: number, start: number, end: number): void {
    const segment = this.#segments[cpu];
    if (segment === undefined) return;
    for (let row = segment.used - 1; row >= 1; row--) {
      const at = row * STRIDE;
      if (segment.i32[at] === 0 || segment.i32[at + ASID] !== asid) continue;
      const first = segment.f64[at / 2 + VPN]!;
      if (first < end && first + segment.i32[at + SPAN]! > start) segment.free(row);
    }
  }

  /** Visits what every CPU's TLB holds; for checkers and pictures. */
  forEach(visit: (cpu: number, asid: number, vpn: number, span: number, pte: Pte) => void): void {
    this.#segments.forEach((segment, cpu) => {
      const { i32, f64, used } = segment;
      for (let row = 1; row < used; row++) {
        const at = row * STRIDE;
        if (i32[at] !== 0) visit(cpu, i32[at + ASID]!, f64[at / 2 + VPN]!, i32[at + SPAN]!, i32[at + ENTRY]!);
      }
    });
  }

  #find(segment: Segment, asid: number, vpn: number): number {
    for (let row = 1; row < segment.used; row++) {
      const at = row * STRIDE;
      if (segment.i32[at] === 0 || segment.i32[at + ASID] !== asid) continue;
      const first = segment.f64[at / 2 + VPN]!;
      if (vpn >= first && vpn < first + segment.i32[at + SPAN]!) return row;
    }
    return 0;
  }

  /** The oldest row: mark words count insertions modulo the size. */
  #victim(segment: Segment): number {
    const next = (segment.i32[3]! % this.entries) + 1;
    segment.i32[3] = next;
    return next;
  }
}
