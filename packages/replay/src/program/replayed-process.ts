import type { AddressSpace } from "@mmu-notifier/machine";
import { type Comparison, compareRanges, type NotifiedRange } from "./agreement.js";
import type { Agreement } from "./agreement.js";
import type { ProcessReport } from "./report.js";

/** Differences of each side that a report shows. */
const SHOWN = 10;

interface Sides {
  readonly trace: NotifiedRange[];
  readonly model: NotifiedRange[];
}

/** How a process came about. */
export interface Origin {
  /** The trace has this process's notifications. */
  readonly recorded: boolean;
  /** By fork from another process of the trace, without loading a program since. */
  readonly forked: boolean;
}

/** A process of the trace with its address space in the model, and both sides' notifications by thread. */
export class ReplayedProcess {
  readonly pid: number;
  readonly program: string;
  readonly space: AddressSpace;
  readonly recorded: boolean;
  readonly forked: boolean;
  readonly #threads = new Map<number, Sides>();
  #tid: number;
  #cause = "start";
  #line = 0;

  constructor(pid: number, program: string, space: AddressSpace, { recorded, forked }: Origin) {
    this.pid = this.#tid = pid;
    this.program = program;
    this.space = space;
    this.recorded = recorded;
    this.forked = forked;
  }

  /** What the model notifies from now on is the doing of this thread. */
  does(tid: number, cause: string, line: number): void {
    this.#tid = tid;
    this.#cause = cause;
    this.#line = line;
  }

  /** A range of the trace. */
  traceNotified(tid: number, range: NotifiedRange): void {
    this.#sides(tid).trace.push(range);
  }

  /** A range of the model. */
  modelNotified(start: number, end: number): void {
    this.#sides(this.#tid).model.push({ start, end, cause: this.#cause, line: this.#line });
  }

  report(): ProcessReport {
    const byCause = new Map<string, Agreement>();
    const missing: NotifiedRange[] = [];
    const extra: NotifiedRange[] = [];
    for (const { trace, model } of this.recorded ? this.#threads.values() : []) {
      const comparison: Comparison = compareRanges(trace, model);
      for (const [cause, counts] of comparison.byCause) byCause.set(cause, sum(byCause.get(cause) ?? NONE, counts));
      missing.push(...comparison.missing);
      extra.push(...comparison.extra);
    }
    const total = [...byCause.values()].reduce(sum, NONE);
    return {
      pid: this.pid,
      program: this.program,
      recorded: this.recorded,
      ...total,
      byCause: Object.fromEntries([...byCause].sort(([a], [b]) => (a < b ? -1 : 1))),
      firstMissing: missing.slice(0, SHOWN),
      firstExtra: extra.slice(0, SHOWN),
    };
  }

  #sides(tid: number): Sides {
    let sides = this.#threads.get(tid);
    if (sides === undefined) this.#threads.set(tid, (sides = { trace: [], model: [] }));
    return sides;
  }
}

const NONE: Agreement = { matched: 0, missing: 0, extra: 0 };

/** Counts of two parts together. */
export function sum(a: Agreement, b: Agreement): Agreement {
  return { matched: a.matched + b.matched, missing: a.missing + b.missing, extra: a.extra + b.extra };
}
