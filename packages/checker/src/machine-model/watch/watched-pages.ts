import { type Kernel, pteWrite } from "@mmu-notifier/core";
import type { Machine } from "@mmu-notifier/machine";
import { leafPfn } from "@mmu-notifier/sdk";
import type { Segment } from "@mmu-notifier/steps";
import type { Report } from "../../engine/model.js";
import type { VerdictLog } from "../../engine/verdict-log.js";
import type { PageName } from "../coherence/coherence.js";
import { RULES } from "../coherence/rules.js";
import { Truth } from "../coherence/truth.js";
import type { Use } from "../observed.js";
import type { Windows } from "./windows.js";

/** A page that threads access. */
export interface WatchedPage {
  readonly mm: number;
  readonly vpn: number;
}

const HOME = 1;
const FLAGS = 2;
const VALUE = 3;
const RANK = 4;
const SEEN_LATER = 5;
/** Frame that the entry mapped when nobody held its lock last, 0 for none. */
const SETTLED = 6;
const STRIDE = 8;

/** The entry was present after the step before. */
const PRESENT = 1;
/** It let the page be written when nobody held its lock last. */
const SETTLED_WRITABLE = 2;
/** What the page holds was stored by a device, through the page table's frame. */
const BY_DEVICE = 4;
/** The entry let the page be written after the step before. */
const WRITABLE = 8;
/** What it has lost since nobody held its lock last was taken by a task that had not announced that. */
const UNANNOUNCED = 16;

/**
 * Follows a page from frame to frame: what it holds has to go with it, its entry has to be none in between, and what an entry loses
 * has to be announced. Also which page was stored to last, and who has seen that. All of it is in the memory, and but for the last
 * follows from the rest of it.
 */
export class WatchedPages {
  readonly #k: Kernel;
  readonly #pages: readonly WatchedPage[];
  readonly #name: PageName;
  readonly #log: VerdictLog;
  readonly #windows: Windows;
  readonly #truth: Truth;
  readonly #segment: Segment;

  constructor(machine: Machine, pages: readonly WatchedPage[], name: PageName, windows: Windows, log: VerdictLog) {
    this.#k = machine.kernel;
    this.#pages = pages;
    this.#name = name;
    this.#log = log;
    this.#windows = windows;
    this.#truth = new Truth(machine.kernel);
    this.#segment = machine.memory.segment("watched pages", STRIDE, Math.max(1, pages.length));
    pages.forEach((page) => {
      const at = this.#segment.alloc() * STRIDE;
      const { home, present, writable } = this.#truth.look(page.mm, page.vpn);
      this.#segment.i32[at + HOME] = home;
      this.#segment.i32[at + VALUE] = home === 0 ? 0 : this.#truth.contentOf(home);
      this.#segment.i32[at + FLAGS] = present ? PRESENT | (writable ? SETTLED_WRITABLE | WRITABLE : 0) : 0;
      this.#segment.i32[at + SETTLED] = present ? home : 0;
    });
  }

  /** Pages that a device has written and nobody since, with the frames that hold that. */
  get writtenByDevice(): readonly (WatchedPage & { readonly home: number })[] {
    return this.#pages.flatMap((page, index) => {
      const at = this.#at(index);
      const home = this.#segment.i32[at + HOME]!;
      return home > 0 && (this.#segment.i32[at + FLAGS]! & BY_DEVICE) !== 0 ? [{ ...page, home }] : [];
    });
  }

  /**
   * A device reads a frame that is the page's no more: ORDER when its thread has seen a store of after the page's last. Before the step's
   * {@link after}.
   */
  outOfOrder({ by, device, leaf, mm, vpn, write }: Use): Report | undefined {
    const index = this.#pages.findIndex((page) => page.mm === mm && page.vpn === vpn);
    if (index < 0 || write) return undefined;
    const { i32 } = this.#segment;
    const at = this.#at(index);
    const home = i32[at + HOME]!;
    const pfn = leafPfn(leaf);
    if (home === 0 || home === pfn || (i32[at + SEEN_LATER]! & (1 << by)) === 0) return undefined;
    if (this.#k.pages.content(pfn) === i32[at + VALUE]) return undefined;
    const page = this.#name(vpn, mm);
    return {
      verdict: "ORDER",
      about: page,
      what: `${device} reads frame ${pfn} for ${page} as it was before a store, and has already seen a store that came later`,
      rule: RULES.ORDER,
    };
  }

  /** After every step of a task; `use` is what a device did in it. */
  after(task: number, use: Use | undefined): void {
    for (let index = 0; index < this.#pages.length; index++) this.#follow(index, task, use);
    if (use !== undefined && !use.write) this.#saw(use);
  }

  #follow(index: number, task: number, use: Use | undefined): void {
    const { mm, vpn } = this.#pages[index]!;
    const { i32 } = this.#segment;
    const at = this.#at(index);
    const truth = this.#truth.look(mm, vpn);
    const before = i32[at + FLAGS]!;
    const was = i32[at + HOME]!;
    const home = truth.home;
    const frame = truth.present ? truth.pfn : 0;
    const writable = frame !== 0 && pteWrite(truth.pte);
    const settledFrame = i32[at + SETTLED]!;
    const settledWritable = (before & SETTLED_WRITABLE) !== 0;
    const lost = settledFrame !== 0 && (frame !== settledFrame || (settledWritable && !writable));
    const wasWritable = (before & WRITABLE) !== 0;
    const loses = (before & PRESENT) !== 0 && (frame !== was || (wasWritable && !writable));
    if (!lost) i32[at + FLAGS]! &= ~UNANNOUNCED;
    else if (loses && !this.#windows.covers(task, mm, vpn)) i32[at + FLAGS]! |= UNANNOUNCED;
    const differs = frame !== settledFrame || writable !== settledWritable || (home === 0 && was !== 0);
    const settled = differs && !truth.entryLocked;
    if (settled) this.#settle(index, frame, writable, lost);
    const kept = i32[at + FLAGS]! & (SETTLED_WRITABLE | UNANNOUNCED);
    const rights = kept | (frame === 0 ? 0 : PRESENT) | (writable ? WRITABLE : 0);
    if (home < 0 && home !== was && truth.entryLocked) {
      // A frame leaves the swap cache before its entry is set, or the other way round: under the lock of the entry.
      i32[at + FLAGS] = (before & BY_DEVICE) | rights;
      return;
    }
    if (home === 0) {
      // Without the entry's lock nothing is in the making: what the page held is given up.
      if (settled) i32.fill(0, at + HOME, at + SETTLED);
      else i32[at + FLAGS] = (before & BY_DEVICE) | rights;
      return;
    }
    const value = truth.contentOf(home);
    let byDevice = before & BY_DEVICE;
    if (was === home) {
      const stored = use?.write === true && use.mm === mm && use.vpn === vpn && leafPfn(use.leaf) === home;
      if (stored) byDevice = BY_DEVICE;
      if (stored || value !== i32[at + VALUE]) this.#stored(index);
      if (!stored && value !== i32[at + VALUE]) byDevice = 0;
    } else if (was !== 0) {
      if ((before & PRESENT) !== 0 && frame !== 0) this.#replaced(index, was, home);
      if (value !== i32[at + VALUE]) {
        if (byDevice !== 0) this.#lost(index, was, home);
        byDevice = 0;
      }
    } else byDevice = 0;
    i32[at + HOME] = home;
    i32[at + VALUE] = value;
    i32[at + FLAGS] = rights | byDevice;
  }

  /** Nobody holds the entry's lock: what it has lost since nobody did last, it has lost for good. */
  #settle(index: number, frame: number, writable: boolean, lost: boolean): void {
    const { i32 } = this.#segment;
    const at = this.#at(index);
    if (lost && (i32[at + FLAGS]! & UNANNOUNCED) !== 0) this.#unannounced(index, frame !== i32[at + SETTLED]);
    i32[at + SETTLED] = frame;
    i32[at + FLAGS] = (i32[at + FLAGS]! & ~(SETTLED_WRITABLE | UNANNOUNCED)) | (writable ? SETTLED_WRITABLE : 0);
  }

  /** The page is the last that was stored to, and nobody has seen that. */
  #stored(index: number): void {
    const { i32 } = this.#segment;
    const rank = i32[this.#at(index) + RANK]!;
    let last = 1;
    for (let other = 0; other < this.#pages.length; other++) {
      if (other === index) continue;
      const at = this.#at(other) + RANK;
      if (rank !== 0 && i32[at]! > rank) i32[at]!--;
      if (i32[at]! >= last) last = i32[at]! + 1;
    }
    i32[this.#at(index) + RANK] = last;
    i32[this.#at(index) + SEEN_LATER] = 0;
  }

  /** A thread has seen what a page holds: whatever was stored before that it must see from now on. */
  #saw({ by, leaf, mm, vpn }: Use): void {
    const { i32 } = this.#segment;
    const index = this.#pages.findIndex((page) => page.mm === mm && page.vpn === vpn);
    if (index < 0 || leafPfn(leaf) !== i32[this.#at(index) + HOME]) return;
    const rank = i32[this.#at(index) + RANK]!;
    for (let other = 0; other < this.#pages.length; other++) {
      const at = this.#at(other);
      if (i32[at + RANK]! > 0 && i32[at + RANK]! < rank) i32[at + SEEN_LATER]! |= 1 << by;
    }
  }

  #unannounced(index: number, losesPage: boolean): void {
    const { mm, vpn } = this.#pages[index]!;
    if (!this.#k.bus.hasNotifiers(mm)) return;
    const page = this.#name(vpn, mm);
    this.#log.record({
      verdict: "MISSED-RANGE",
      about: page,
      what: `the entry of ${page} loses ${losesPage ? "its frame" : "the right to write"} outside of every range that was announced`,
      rule: RULES.I7,
    });
  }

  #replaced(index: number, was: number, home: number): void {
    const { mm, vpn } = this.#pages[index]!;
    const page = this.#name(vpn, mm);
    this.#log.record({
      verdict: "BBM",
      about: page,
      what: `the entry of ${page} goes from frame ${was} to frame ${home} without being none in between`,
      rule: RULES.BBM,
    });
  }

  #lost(index: number, was: number, home: number): void {
    const { mm, vpn } = this.#pages[index]!;
    const page = this.#name(vpn, mm);
    const place = (at: number): string => (at > 0 ? `frame ${at}` : `swap slot ${-at}`);
    this.#log.record({
      verdict: "LOST-WRITE",
      about: page,
      what: `${page} is ${place(home)} now, and what a device wrote last to ${place(was)} is not in it`,
      rule: RULES["LOST-WRITE"],
    });
  }

  #at(index: number): number {
    return (index + 1) * STRIDE;
  }
}
