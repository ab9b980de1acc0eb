import * as core from "@mmu-notifier/core";
import {
  ARENA_PAGE,
  ARENA_REACH,
  type Happening,
  type OpRecord,
  type Place,
  type Statement,
  type Who,
} from "@mmu-notifier/script";
import type { QemuCall, QemuFault, QemuResult, QemuSetAccessFlags } from "./qemu-record.js";

/** The page after the last one of a 64-bit address space. */
const LAST_PAGE = 2 ** 52;

/** Names of children in the order in which records first speak of them. */
export class MmNames {
  readonly #names = new Map<Who, string>();

  of(who: Who | undefined): string {
    if (who === undefined) return "self";
    let name = this.#names.get(who);
    if (name === undefined) {
      name = `mm${this.#names.size + 1}`;
      this.#names.set(who, name);
    }
    return name;
  }
}

/** What happened inside an operation, in the terms of the records. */
export interface ModelCalls {
  readonly notifier: readonly QemuCall[];
  readonly pteSet: readonly QemuSetAccessFlags[];
  readonly faults: readonly QemuFault[];
}

/** Translates what a session saw. */
export function modelCalls(k: core.Kernel, happened: readonly Happening[], names: MmNames): ModelCalls {
  const notifier: QemuCall[] = [];
  const pteSet: QemuSetAccessFlags[] = [];
  const faults: QemuFault[] = [];
  for (const event of happened) {
    if ("page" in event && (event.page < 0 || event.page >= ARENA_REACH)) continue;
    switch (event.kind) {
      case "notify":
        if (!touchesArena(event)) break;
        notifier.push(callOf(k, event, names));
        break;
      case "set-access-flags":
        pteSet.push(setAccessFlags(k, event, names));
        break;
      case "handle-mm-fault":
        faults.push({
          mm: names.of(event.mm),
          page: event.page,
          flags: namesOf(FAULT_FLAGS, flagNames, event.flags),
          result: namesOf(FAULT_RESULTS, resultNames, event.result),
        });
        break;
      default:
        break;
    }
  }
  return { notifier, pteSet, faults };
}

/** The captures kept calls for the arena and for the whole address space. */
function touchesArena({ call, start, end }: Extract<Happening, { kind: "notify" }>): boolean {
  if (call === "release") return true;
  const after = call === "change_pte" ? pageOf(start) + 1 : pageOf(end);
  return pageOf(start) < ARENA_REACH && after > 0;
}

function callOf(k: core.Kernel, event: Extract<Happening, { kind: "notify" }>, names: MmNames): QemuCall {
  const { call, start, end, event: type, flags, onlyEnd, pte } = event;
  const whole = start === "0" && end === "max";
  const ranged = call !== "release" && call !== "change_pte";
  const placed = !whole && call !== "release";
  return {
    fn: call,
    mm: names.of(event.mm),
    whole: whole && ranged ? true : undefined,
    start: placed ? pageOf(start) : undefined,
    end: placed ? (call === "change_pte" ? pageOf(start) + 1 : pageOf(end)) : undefined,
    event: type === undefined ? undefined : shortNameOf(type),
    flags,
    onlyEnd: k.profile.hookFromRangeEnd ? onlyEnd : undefined,
    newWrite: pte === undefined ? undefined : k.pte.hwWritable(pte, false),
  };
}

const shortNames = new Map<string, string>();

/** An event as records write it: without MMU_NOTIFY_ in front. */
function shortNameOf(event: string): string {
  let name = shortNames.get(event);
  if (name === undefined) {
    name = event.replace("MMU_NOTIFY_", "");
    shortNames.set(event, name);
  }
  return name;
}

/** A place in whole pages, rounded outwards at its end. */
function pageOf(place: Place): number {
  if (typeof place === "number") return place;
  if (place === "max") return LAST_PAGE - ARENA_PAGE;
  if (place === "0") return -ARENA_PAGE;
  return Math.ceil(Number.parseFloat(place));
}

function setAccessFlags(
  k: core.Kernel,
  event: Extract<Happening, { kind: "set-access-flags" }>,
  names: MmNames,
): QemuSetAccessFlags {
  const { fn, page, before, after, changed } = event;
  return {
    fn,
    mm: names.of(event.mm),
    page,
    oldWrite: k.pte.hwWritable(before, false),
    newWrite: k.pte.hwWritable(after, false),
    oldMayWrite: core.pteWrite(before),
    newMayWrite: core.pteWrite(after),
    changed: changed ? 1 : 0,
  };
}

type BitNames = readonly (readonly [bit: number, name: string])[];

const FAULT_FLAGS: BitNames = [
  [core.FAULT_FLAG_WRITE, "WRITE"],
  [core.FAULT_FLAG_MKWRITE, "MKWRITE"],
  [core.FAULT_FLAG_ALLOW_RETRY, "ALLOW_RETRY"],
  [core.FAULT_FLAG_RETRY_NOWAIT, "RETRY_NOWAIT"],
  [core.FAULT_FLAG_KILLABLE, "KILLABLE"],
  [core.FAULT_FLAG_TRIED, "TRIED"],
  [core.FAULT_FLAG_USER, "USER"],
  [core.FAULT_FLAG_REMOTE, "REMOTE"],
  [core.FAULT_FLAG_INSTRUCTION, "INSTRUCTION"],
  [core.FAULT_FLAG_INTERRUPTIBLE, "INTERRUPTIBLE"],
  [core.FAULT_FLAG_UNSHARE, "UNSHARE"],
  [core.FAULT_FLAG_VMA_LOCK, "VMA_LOCK"],
];

const FAULT_RESULTS: BitNames = [
  [core.VM_FAULT_OOM, "OOM"],
  [core.VM_FAULT_SIGBUS, "SIGBUS"],
  [core.VM_FAULT_MAJOR, "MAJOR"],
  [core.VM_FAULT_WRITE, "WRITE"],
  [core.VM_FAULT_HWPOISON, "HWPOISON"],
  [core.VM_FAULT_SIGSEGV, "SIGSEGV"],
  [core.VM_FAULT_NOPAGE, "NOPAGE"],
  [core.VM_FAULT_LOCKED, "LOCKED"],
  [core.VM_FAULT_RETRY, "RETRY"],
  [core.VM_FAULT_FALLBACK, "FALLBACK"],
  [core.VM_FAULT_DONE_COW, "DONE_COW"],
  [core.VM_FAULT_COMPLETED, "COMPLETED"],
];

const flagNames = new Map<number, readonly string[]>();
const resultNames = new Map<number, readonly string[]>();

/** The names of bits, each combination put into words once and `known` from then on. */
function namesOf(names: BitNames, known: Map<number, readonly string[]>, bits: number): readonly string[] {
  let found = known.get(bits);
  if (found === undefined) {
    found = names.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
    known.set(bits, found);
  }
  return found;
}

/** Signal numbers, as a child's exit status tells them. */
const SIGNAL_NUMBERS = { SEGV: 11, BUS: 7 } as const;

/** What an operation came to, as the records write it. */
export function modelResult({ op }: Statement, record: OpRecord): QemuResult {
  const { ret, err, val, sig, code, at, status } = record;
  if (err !== undefined) return { ret: -1, errno: err, sig: null };
  if (sig !== undefined && op.kind === "access" && op.child >= 0)
    return { ret: -SIGNAL_NUMBERS[sig], errno: null, sig: null };
  if (sig !== undefined) {
    return {
      ret: typeof ret === "number" ? ret : 0,
      errno: null,
      sig: `SIG${sig}`,
      sigCode: code ?? null,
      sigPage: typeof at === "number" ? at : null,
    };
  }
  if (op.kind === "access")
    return { ret: op.mode === "one" ? 1 : typeof ret === "number" ? ret : 0, errno: null, sig: null };
  // "out": an address outside of the arena.
  if (typeof ret === "string") return { ret: null, errno: null, sig: null };
  if (status !== undefined) return { ret: status, errno: null, sig: null };
  return { ret: typeof ret === "number" ? ret : val === undefined ? null : 1, errno: null, sig: null };
}
