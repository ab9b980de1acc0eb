import type { MmuNotifyEvent } from "@mmu-notifier/bus";
import type { DeviceEvent } from "@mmu-notifier/sdk";
import type { PageRun } from "../snapshot/page-snapshot.js";
import type { VmaRecord } from "../snapshot/vma-snapshot.js";

/** Who did something: absent is the script's process, `c0` its child 0, `k` a thread of the kernel. */
export type Who = string;

/** A place as records write it: pages from the arena's base, `"P+0xB"` inside a page, `"0"` and `"max"` for the ends of everything. */
export type Place = number | string;

/**
 * One event as the recorded corpora write it, in time order.
 * - `F`, `FK`: a fault in user or kernel mode, its page and its x86 error code;
 * - `N`: a notifier's range_start; `A`: clear-young; `Y`: test-young;
 * - `T`: a flush of the CPU's TLB, in entries (-1 is everything), and its reason (3 is "this mm, local").
 */
export type EventRecord =
  | readonly [kind: "F" | "FK", page: number, code: number, who?: Who]
  | readonly [kind: "N" | "A", start: Place, end: Place, who?: Who]
  | readonly [kind: "Y", page: Place, who?: Who]
  | readonly [kind: "T", pages: number, reason: number];

/** How a device goes round for ever. */
export interface Livelock {
  /** Attempts that were made until the state came back. */
  readonly attempts: number;
  /** Faults that the device reported meanwhile. */
  readonly faults: number;
  /** Commands that its driver issued meanwhile. */
  readonly commands: number;
  /** The steps that repeat. */
  readonly cycle: readonly string[];
}

/** What an op came to; which fields there are depends on the op. */
export interface OpResult {
  /** 0, a count, or a page number for addresses; `out` is an address outside the arena. */
  readonly ret?: Place;
  readonly err?: string;
  /** The byte that was read; for mincore a string of 0 and 1. */
  readonly val?: number | string;
  readonly sig?: "SEGV" | "BUS";
  /** si_code of the signal. */
  readonly code?: number;
  /** Page of the signal. */
  readonly at?: Place;
  /** Signals of a range: page, signal, si_code. */
  readonly sigs?: readonly (readonly [page: number, sig: "SEGV" | "BUS", code: number])[];
  /** Sum of the bytes read from a range. */
  readonly sum?: number;
  /** move_pages: the page's node, or -errno. */
  readonly status?: number;
  /** Accesses of a device that were done before the one that failed. */
  readonly done?: number;
  /** A device's access that can never succeed: the whole machine came back to a state it was in. */
  readonly livelock?: Livelock;
}

/** What happened inside an op, with more detail than {@link EventRecord}. Pages count from the arena's base. */
export type Happening =
  | {
      readonly kind: "fault";
      readonly page: number;
      readonly write: boolean;
      readonly exec: boolean;
      readonly user: boolean;
      readonly present: boolean;
      readonly who?: Who;
    }
  | {
      readonly kind: "notify";
      readonly call: string;
      readonly start: Place;
      readonly end: Place;
      readonly event?: MmuNotifyEvent;
      readonly flags?: number;
      readonly onlyEnd?: boolean;
      readonly pte?: number;
      /** Whose address space; absent is the script's process. */
      readonly mm?: Who;
      readonly who?: Who;
    }
  | {
      readonly kind: "flush";
      readonly start: Place;
      readonly end: Place;
      readonly pages: number;
      readonly scope: string;
      readonly mm?: Who;
    }
  | {
      readonly kind: "set-access-flags";
      readonly fn: string;
      readonly page: number;
      readonly before: number;
      readonly after: number;
      readonly changed: boolean;
      readonly mm?: Who;
    }
  | {
      readonly kind: "upgrade";
      readonly page: number;
      readonly pages: number;
      readonly site: string;
      readonly mm?: Who;
    }
  | {
      readonly kind: "handle-mm-fault";
      readonly page: number;
      readonly flags: number;
      readonly result: number;
      readonly mm?: Who;
    }
  | { readonly kind: "device"; readonly device: string; readonly event: DeviceEvent }
  | { readonly kind: "driver-error"; readonly message: string };

/** What is left after one op. */
export interface OpRecord extends OpResult {
  /** Place of the op in its script, from 0. */
  readonly i: number;
  /** The line as written. */
  readonly op: string;
  readonly ev: readonly EventRecord[];
  readonly vma: readonly VmaRecord[];
  readonly pg: readonly PageRun[];
  /** Only if the run was asked for it. */
  readonly happened?: readonly Happening[];
}
