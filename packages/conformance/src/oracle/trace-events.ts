import { ARENA_BASE, type EventRecord, isInArena, placeOf, touchesArena } from "@mmu-notifier/script";
import type { RawEvent } from "./raw-record.js";

const PAGE = 4096;
const RANGE = /^kvm_(unmap_hva_range|age_hva): .*: (?:0x)?([0-9a-f]+) -- (?:0x)?([0-9a-f]+)/;
const TEST_YOUNG = /^kvm_test_age_hva: .*: 0x([0-9a-f]+)/;
const FAULT = /^page_fault_(user|kernel): address=0x([0-9a-f]+) .*error_code=0x([0-9a-f]+)/;
const FLUSH = /^tlb_flush: pages:(-?\d+) reason:.*\((\d+)\)/;
/** A flush because another task was switched to. */
const TASK_SWITCH = 0;

/** Who takes part in a script: its process, and its children in the order of their birth. */
export interface Cast {
  readonly pid: number;
  readonly children: readonly number[];
}

/** What the trace of one op says about the arena. */
export interface ReadEvents {
  readonly ev: readonly EventRecord[];
  /** Notifier ranges outside of the arena: the interpreter's own memory. */
  readonly outside: number;
}

/** Trace events as records write them; what happened outside of the arena is left out. */
export function readEvents(raw: readonly RawEvent[], cast: Cast): ReadEvents {
  const ev: EventRecord[] = [];
  let outside = 0;
  // A fault of the interpreter's own ends in a flush of its own.
  let ownFault = false;
  for (const [pid, text] of raw) {
    const who = whoIs(pid, cast);
    const by = who === undefined ? ([] as const) : ([who] as const);
    const range = rangeOf(text);
    if (range !== undefined) {
      const { kind, start, end } = range;
      if (!touchesArena(start, end)) outside++;
      else {
        ev.push([kind, placeOf(start), placeOf(end), ...by]);
        ownFault = false;
      }
      continue;
    }
    const fault = FAULT.exec(text);
    if (fault !== null) {
      const address = hex(fault[2]!);
      if (isInArena(address)) {
        ev.push([fault[1] === "kernel" ? "FK" : "F", pageOf(address), hex(fault[3]!), ...by]);
        ownFault = false;
      } else if (who === undefined) ownFault = true;
      continue;
    }
    const flush = FLUSH.exec(text);
    if (flush !== null) {
      const reason = Number(flush[2]);
      if (reason !== TASK_SWITCH && who === undefined && !ownFault) ev.push(["T", Number(flush[1]), reason]);
      continue;
    }
    const young = TEST_YOUNG.exec(text);
    if (young !== null && isInArena(hex(young[1]!))) ev.push(["Y", placeOf(hex(young[1]!)), ...by]);
  }
  return { ev, outside };
}

function rangeOf(text: string): { readonly kind: "N" | "A"; readonly start: number; readonly end: number } | undefined {
  const match = RANGE.exec(text);
  if (match === null) return undefined;
  const [, event, start, end] = match;
  return { kind: event === "age_hva" ? "A" : "N", start: hex(start!), end: hex(end!) };
}

function whoIs(pid: number, { pid: own, children }: Cast): string | undefined {
  if (pid === own) return undefined;
  const child = children.indexOf(pid);
  return child < 0 ? "k" : `c${child}`;
}

function hex(digits: string): number {
  return Number.parseInt(digits, 16);
}

function pageOf(address: number): number {
  return Math.floor((address - ARENA_BASE) / PAGE);
}
