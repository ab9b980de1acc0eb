import { call, nextStep, type Path, type Step } from "@mmu-notifier/steps";
import { BusError } from "./errors.js";
import { MMU_NOTIFY_EVENTS } from "./events.js";
import { END_BIT, eventlessBit, type Interest, NOTIFICATION_PHASES, type NotificationPhase } from "./interest.js";
import { yielded } from "./hand-written-path.js";
import type { NotifierOps } from "./notifier-ops.js";
import { callbackName } from "./observers.js";

/** Kinds of walk over a list: nine starts, nine ends, nine ends without the hook, then one for each phase without event. */
const EVENTS = MMU_NOTIFY_EVENTS.length;
export const START_SLOT = 0;
export const END_SLOT = EVENTS;
export const ONLY_END_SLOT = 2 * EVENTS;
const EVENTLESS_SLOT = 3 * EVENTS;

/** The walk of a phase that has no event. */
export function eventlessSlot(phase: NotificationPhase): number {
  return EVENTLESS_SLOT + eventlessBit(phase);
}

/** The callback that a bit of an interest stands for. */
function bitName(bit: number): string {
  return callbackName(NOTIFICATION_PHASES[bit < EVENTS ? 0 : bit < 2 * EVENTS ? 1 : bit - 2 * EVENTS + 2]!);
}

function callbackOf(row: number, ops: NotifierOps, bit: number, hook: boolean): Callback {
  const label = `${ops.name}.${bitName(bit)}`;
  // call() is the only way to have its two markers; run over nothing it yields just them.
  const markers = call(label, nothing());
  const enter = yielded(nextStep(markers, 0).value as Step);
  return { row, ops, hook, label, enter, leave: yielded(nextStep(markers, 0).value as Step) };
}

function* nothing(): Path {}

const ROW_BITS = 16;
const ROWS = 1 << ROW_BITS;

/** One callback to be made in a walk. */
export interface Callback {
  /** Row of the subscription. */
  readonly row: number;
  readonly ops: NotifierOps;
  /** The event-less hook inside a range_end. */
  readonly hook: boolean;
  /** `NAME.callback`, for messages. */
  readonly label: string;
  /** Markers that the work is entered and left under that name. */
  readonly enter: IteratorYieldResult<Step>;
  readonly leave: IteratorYieldResult<Step>;
}

/**
 * The subscriptions that a reader of an hlist meets from some point on, as a number. Equal lists are the same chain, so a
 * step can return "the rest of the list" and the path can make the callbacks of one event from a compiled array.
 */
export class Chain {
  readonly id: number;
  /** `ops << 16 | row` of each subscription, newest first. */
  readonly codes: readonly number[];
  readonly #compiled: (readonly Callback[] | undefined)[] = [];
  readonly #children = new Map<number, Chain>();
  #lastCode = -1;
  #lastChild: Chain | undefined;
  readonly #table: Chains;

  constructor(table: Chains, id: number, codes: readonly number[]) {
    this.#table = table;
    this.id = id;
    this.codes = codes;
  }

  /** The chain that has one more subscription at its end. */
  followedBy(code: number): Chain {
    if (this.#lastCode === code) return this.#lastChild!;
    let child = this.#children.get(code);
    if (child === undefined) {
      child = this.#table.add([...this.codes, code]);
      this.#children.set(code, child);
    }
    this.#lastCode = code;
    this.#lastChild = child;
    return child;
  }

  /** The callbacks that a walk of kind `slot` makes; empty when nobody is interested. */
  callbacks(slot: number): readonly Callback[] {
    return this.#compiled[slot] ?? this.#compile(slot);
  }

  #compile(slot: number): readonly Callback[] {
    const { hookBit, ops } = this.#table;
    const callbacks: Callback[] = [];
    const bit = bitOf(slot);
    const hook = this.#table.callsHook(slot);
    for (const code of this.codes) {
      const row = code & (ROWS - 1);
      const of = ops[code >> ROW_BITS]!;
      if (hook && (of.interest & (1 << hookBit)) !== 0) callbacks.push(callbackOf(row, of, hookBit, true));
      if ((of.interest & (1 << bit)) !== 0) callbacks.push(callbackOf(row, of, bit, false));
    }
    this.#compiled[slot] = callbacks;
    return callbacks;
  }
}

/** The bit of interest that a walk is about. */
function bitOf(slot: number): number {
  if (slot < ONLY_END_SLOT) return slot;
  return slot < EVENTLESS_SLOT ? slot - ONLY_END_SLOT + END_BIT : slot - EVENTLESS_SLOT;
}

/** All chains that one bus has met. Numbers start at 1. */
export class Chains {
  readonly ops: readonly NotifierOps[];
  readonly hookBit: number;
  readonly #hookFromRangeEnd: boolean;
  readonly #chains: Chain[] = [];
  readonly empty: Chain;

  constructor(ops: readonly NotifierOps[], hookBit: number, hookFromRangeEnd: boolean) {
    this.ops = ops;
    this.hookBit = hookBit;
    this.#hookFromRangeEnd = hookFromRangeEnd;
    this.empty = this.add([]);
  }

  add(codes: readonly number[]): Chain {
    const chain = new Chain(this, this.#chains.length + 1, codes);
    this.#chains.push(chain);
    return chain;
  }

  /** True for the walk of range_end that calls the hook of each subscription first. */
  callsHook(slot: number): boolean {
    return this.#hookFromRangeEnd && slot >= END_SLOT && slot < ONLY_END_SLOT;
  }

  /** The interest that a subscription must have to be called in a walk. */
  interest(slot: number): Interest {
    return (1 << bitOf(slot)) | (this.callsHook(slot) ? 1 << this.hookBit : 0);
  }

  at(id: number): Chain {
    return this.#chains[id - 1]!;
  }

  /** The number that stands for one subscription. */
  code(ops: number, row: number): number {
    if (row >= ROWS || ops >= ROWS >> 1) {
      throw new BusError(
        "BUS_TOO_MANY",
        `the bus holds ${ROWS - 1} subscriptions and ${(ROWS >> 1) - 1} kinds of them; this is subscription ${row} of kind ${ops}`,
        {
          row,
          ops,
        },
      );
    }
    return (ops << ROW_BITS) | row;
  }
}
