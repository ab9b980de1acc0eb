import { isSwapPte, type Kernel, pteNone, ptePfn, pteWrite } from "@mmu-notifier/core";
import type { Segment } from "@mmu-notifier/steps";
import type { Verdict } from "../engine/verdict.js";
import { VerdictLog } from "../engine/verdict-log.js";

/** One use of a translation: by whom, of which page, which frame it leads to. */
export interface FrameUse {
  readonly by: string;
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly write: boolean;
}

// One row an mm.
const PROMISED = 1;
const CHANGED = 2;
const WRITTEN = 4;
const PAGES = 16;
const STRIDE = WRITTEN + PAGES;

// One row a frame.
const OWNER = 1;
const FRAME_STRIDE = 4;

/**
 * What no kernel keeps and every kernel relies on: whose a frame is, which pages a call has promised to be as the page table says,
 * what was last written to a page. Each use of a translation is held against it. Methods are for steps; pages 0 to 15.
 *
 * @public
 */
export class Oracle {
  readonly log: VerdictLog;
  readonly #k: Kernel;
  readonly #mms: Segment;
  readonly #frames: Segment;
  readonly #firstMm: () => number;

  constructor(k: Kernel, firstMm: () => number) {
    this.#k = k;
    this.#firstMm = firstMm;
    this.log = new VerdictLog(k.memory);
    this.#mms = k.memory.segment("promises", STRIDE, 2);
    this.#frames = k.memory.segment("owners of frames", FRAME_STRIDE, 16);
  }

  /** Says that a rule is broken; the search goes on. */
  record(verdict: Verdict, about: string, what: string): void {
    this.log.record({ verdict, about, what });
  }

  /** What findings call a page. */
  page(mm: number, vpn: number): string {
    return mm === this.#firstMm() ? `page ${vpn}` : `page ${vpn} of mm${mm}`;
  }

  /** Frame `pfn` holds a page of `mm` from now on; 0 is nobody in particular. */
  owns(pfn: number, mm: number): void {
    while (!this.#frames.isLive(pfn)) this.#frames.alloc();
    this.#frames.i32[pfn * FRAME_STRIDE + OWNER] = mm;
  }

  /** The entry of a page is about to change: no promise about it holds until the next one. */
  changes(mm: number, vpn: number): void {
    const at = this.#at(mm);
    this.#mms.i32[at + CHANGED]! |= 1 << vpn;
    this.#mms.i32[at + PROMISED]! &= ~(1 << vpn);
  }

  /** A call returns that promises: whoever translates [start, end) from now on gets what the page table says. */
  promises(mm: number, start: number, end: number): void {
    const at = this.#at(mm);
    for (let vpn = start; vpn < end; vpn++) {
      this.#mms.i32[at + PROMISED]! |= 1 << vpn;
      this.#mms.i32[at + CHANGED]! &= ~(1 << vpn);
    }
  }

  /** True from a change of the entry to the next promise. */
  isChanging(mm: number, vpn: number): boolean {
    return (this.#mms.i32[this.#at(mm) + CHANGED]! & (1 << vpn)) !== 0;
  }

  /** The leaf entry of a page, 0 when there is none. */
  pte(mm: number, vpn: number): number {
    if (!this.#k.mms.isLive(mm)) return 0;
    const ptep = this.#k.tables.leaf(this.#k.mms.pgd(mm), vpn);
    return ptep === 0 ? 0 : this.#k.tables.get(ptep);
  }

  /** The frame the page table gives for a page, 0 when there is none. */
  frameOf(mm: number, vpn: number): number {
    const pte = this.pte(mm, vpn);
    return pteNone(pte) || isSwapPte(pte) ? 0 : ptePfn(pte);
  }

  /** The frame is used through a translation. True when there is memory behind it at all. */
  use({ by, mm, vpn, pfn, write }: FrameUse): boolean {
    const page = this.page(mm, vpn);
    const does = `${by} ${write ? "writes" : "reads"}`;
    if (!this.#k.pages.isLive(pfn)) {
      this.record("STALE-USE", page, `${does} frame ${pfn} for ${page}, and that frame was freed`);
      return false;
    }
    const owner = this.#frames.isLive(pfn) ? this.#frames.i32[pfn * FRAME_STRIDE + OWNER]! : 0;
    if (owner !== 0 && owner !== mm)
      this.record("ISOLATION", page, `${does} frame ${pfn} for ${page} of mm${mm}, and that frame is mm${owner}'s`);
    if ((this.#mms.i32[this.#at(mm) + PROMISED]! & (1 << vpn)) === 0) return true;
    const pte = this.pte(mm, vpn);
    const now = this.frameOf(mm, vpn);
    if (now !== pfn) {
      const is = now === 0 ? "the page table has nothing there" : `the page table says frame ${now}`;
      this.record("STALE-USE", page, `${does} frame ${pfn} for ${page} after a call promised that ${is}`);
    } else if (write && !pteWrite(pte))
      this.record("STALE-PERM", page, `${does} ${page} after a call promised that it is write-protected`);
    return true;
  }

  /** A store to a page was carried out, wherever it went. */
  wrote(mm: number, vpn: number, value: number): void {
    this.#mms.i32[this.#at(mm) + WRITTEN + vpn] = value;
  }

  /** What the page must hold: the last value that anybody stored. */
  written(mm: number, vpn: number): number {
    return this.#mms.i32[this.#at(mm) + WRITTEN + vpn]!;
  }

  /** Compares a page with what was stored to it last. */
  expectContent(mm: number, vpn: number): void {
    const pfn = this.frameOf(mm, vpn);
    const held = pfn === 0 ? 0 : this.#k.pages.content(pfn);
    const page = this.page(mm, vpn);
    if (held !== this.written(mm, vpn))
      this.record("LOST-WRITE", page, `${page} holds ${held} though ${this.written(mm, vpn)} was stored to it last`);
  }

  #at(mm: number): number {
    while (!this.#mms.isLive(mm)) this.#mms.alloc();
    return mm * STRIDE;
  }
}
