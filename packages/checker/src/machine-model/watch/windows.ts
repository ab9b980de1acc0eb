import { type BusCall, MMU_NOTIFIER_RANGE_BLOCKABLE, type MmuNotifyEvent } from "@mmu-notifier/bus";
import { PAGE_SIZE } from "@mmu-notifier/core";
import type { Machine } from "@mmu-notifier/machine";
import type { VerdictLog } from "../../engine/verdict-log.js";
import { RULES } from "../coherence/rules.js";
import type { Place } from "./place.js";
import { DEPTH, type TaskRows } from "./task-rows.js";

/** What a start announces. */
interface Range {
  readonly mm: number;
  readonly start: number;
  readonly end: number;
  readonly event: MmuNotifyEvent;
}

/** A word is the number of a range times this, what is known of its start, and a bit for each device that has been told. */
const RANGE = 1 << 8;
/** A start that may not block can have been refused, and then has no end. */
const MAY_BE_REFUSED = 1;
const FIRST_DEVICE = 2;
const MOST_DEVICES = 7;

/**
 * Which ranges each task has announced and not ended. No kernel keeps that; it is written down in the memory as the calls are made, and
 * tells no two states apart that their tasks do not.
 */
export class Windows {
  readonly #rows: TaskRows;
  readonly #log: VerdictLog;
  /** Ranges by number; 0 is none. What a number stands for never changes. */
  readonly #ranges: (Range | undefined)[] = [undefined];
  /** The task whose step runs; -1 between steps. */
  #task = -1;

  constructor({ kernel }: Machine, rows: TaskRows, log: VerdictLog) {
    this.#log = log;
    this.#rows = rows;
    kernel.bus.calls.subscribe((call) => {
      if (this.#task < 0) return;
      if (call.call === "invalidate_range_start") this.#start(call);
      else if (call.call === "invalidate_range_end") this.#end(call);
    });
  }

  before(task: number, { left }: Place): void {
    this.#task = task;
    if (left === undefined || left.device >= MOST_DEVICES) return;
    const { words } = this.#rows;
    // An end is told when its range is off the list: what is there was announced, to the last by this very callback.
    for (let depth = DEPTH - 1; depth >= 0; depth--) {
      const at = this.#rows.range(task, depth);
      if (words[at] === 0) continue;
      words[at]! |= FIRST_DEVICE << left.device;
      return;
    }
  }

  after(): void {
    this.#task = -1;
  }

  /** An operation of the task returns: everything that it started has ended. */
  returns(task: number): void {
    const { words } = this.#rows;
    for (let depth = 0; depth < DEPTH; depth++) {
      const at = this.#rows.range(task, depth);
      const word = words[at]!;
      if (word === 0) continue;
      words[at] = 0;
      if ((word & MAY_BE_REFUSED) === 0)
        this.#record(`the start of ${textOf(this.#rangeOf(word))} has no end when its caller returns`);
    }
  }

  /** The task has announced a change of the page. */
  covers(task: number, mm: number, vpn: number): boolean {
    const { words } = this.#rows;
    for (let depth = 0; depth < DEPTH; depth++) {
      const word = words[this.#rows.range(task, depth)]!;
      if (word !== 0 && includes(this.#rangeOf(word), mm, vpn, vpn + 1)) return true;
    }
    return false;
  }

  /** Events of the ranges that device number `device` has been told of, and of no end yet, and that overlap pages [start, end). */
  open(device: number, mm: number, start: number, end: number): readonly MmuNotifyEvent[] {
    const { tasks, words } = this.#rows;
    let found: MmuNotifyEvent[] | undefined;
    for (let task = 0; task < tasks; task++) {
      for (let depth = 0; depth < DEPTH; depth++) {
        const word = words[this.#rows.range(task, depth)]!;
        if ((word & (FIRST_DEVICE << device)) === 0) continue;
        const range = this.#rangeOf(word);
        if (includes(range, mm, start, end)) (found ??= []).push(range.event);
      }
    }
    return found ?? NONE;
  }

  #start(call: BusCall): void {
    const { words } = this.#rows;
    const state = ((call.flags ?? 0) & MMU_NOTIFIER_RANGE_BLOCKABLE) === 0 ? MAY_BE_REFUSED : 0;
    for (let depth = 0; depth < DEPTH; depth++) {
      const at = this.#rows.range(this.#task, depth);
      if (words[at] !== 0) continue;
      words[at] = this.#numberOf(call) * RANGE + state;
      return;
    }
  }

  #end(call: BusCall): void {
    const { words } = this.#rows;
    const number = this.#numberOf(call);
    for (let depth = DEPTH - 1; depth >= 0; depth--) {
      const at = this.#rows.range(this.#task, depth);
      if (words[at] === 0 || Math.floor(words[at]! / RANGE) !== number) continue;
      words[at] = 0;
      return;
    }
    this.#record(`the end of ${textOf(this.#ranges[number]!)} has no start of the same range`);
  }

  #record(what: string): void {
    this.#log.record({ verdict: "IMBALANCE", about: "start and end", what, rule: RULES.I1 });
  }

  #rangeOf(word: number): Range {
    return this.#ranges[Math.floor(word / RANGE)]!;
  }

  #numberOf({ mm, start, end, event }: BusCall): number {
    const known = this.#ranges.findIndex(
      (range) => range?.mm === mm && range.start === start && range.end === end && range.event === event,
    );
    return known >= 0 ? known : this.#ranges.push({ mm, start, end, event: event! }) - 1;
  }
}

const NONE: readonly MmuNotifyEvent[] = [];

function includes(range: Range, mm: number, start: number, end: number): boolean {
  return range.mm === mm && range.start < end * PAGE_SIZE && range.end > start * PAGE_SIZE;
}

function textOf({ mm, start, end, event }: Range): string {
  return `${event} for bytes [0x${start.toString(16)}, 0x${end.toString(16)}) of mm${mm}`;
}
