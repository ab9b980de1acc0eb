import type { BusCall } from "@mmu-notifier/bus";
import { type Kernel, type KernelEvent, SIGBUS } from "@mmu-notifier/core";
import type { DeviceEvent } from "@mmu-notifier/sdk";
import type { Unsubscribable } from "rxjs";
import { ARENA_PAGE, ARENA_REACH } from "../script.js";
import { placeOf, touchesArena } from "./place.js";
import type { EventRecord, Happening, OpResult, Place, Who } from "./record.js";

/** Reason of a flush of this mm on this CPU (TLB_LOCAL_MM_SHOOTDOWN). */
const LOCAL_MM_SHOOTDOWN = 3;

/** x86's page-fault error code. */
const PRESENT = 1;
const WRITE = 2;
const USER = 4;
const FETCH = 16;

/** What the recorder has to know about the processes. */
export interface Cast {
  /** The mm whose events are recorded. */
  readonly mm: number;
  /** A name for another mm, or undefined for `mm`. */
  who(mm: number): Who | undefined;
  /** Who executes now. */
  readonly actor: Who | undefined;
  /** The process's own notifier is registered. */
  readonly listening: boolean;
}

/** A signal that a system call sent to its own process, as a result tells it. */
type RecordedSignal = Required<Pick<OpResult, "sig" | "code" | "at">>;

interface Recorded {
  readonly ev: readonly EventRecord[];
  readonly happened: readonly Happening[] | undefined;
  readonly signal: RecordedSignal | undefined;
}

/** Turns a machine's events into what records hold. */
export class Recorder {
  readonly #cast: Cast;
  readonly #subscriptions: Unsubscribable[];
  #ev: EventRecord[] = [];
  #happened: Happening[] | undefined;
  #signal: RecordedSignal | undefined;
  #released = false;

  /** @param detail also collect {@link Happening}s */
  constructor(kernel: Kernel, cast: Cast, detail: boolean) {
    this.#cast = cast;
    this.#happened = detail ? [] : undefined;
    this.#subscriptions = [
      kernel.bus.calls.subscribe((call) => this.#call(call)),
      kernel.events.subscribe((event) => this.#kernel(event)),
    ];
  }

  /** Everything since the last time, and starts afresh. */
  take(): Recorded {
    const taken = { ev: this.#ev, happened: this.#happened, signal: this.#signal };
    this.#ev = [];
    this.#signal = undefined;
    if (this.#happened !== undefined) this.#happened = [];
    return taken;
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  device(device: string, event: DeviceEvent): void {
    this.#happened?.push({ kind: "device", device, event: relative(event) });
  }

  driverError(message: string): void {
    this.#happened?.push({ kind: "driver-error", message });
  }

  #kernel(event: KernelEvent): void {
    const { mm, actor } = this.#cast;
    switch (event.kind) {
      case "page-fault": {
        const page = event.vpn - ARENA_PAGE;
        if (page < 0 || page >= ARENA_REACH) return;
        const code =
          (event.present ? PRESENT : 0) |
          (event.write ? WRITE : 0) |
          (event.user ? USER : 0) |
          (event.exec ? FETCH : 0);
        this.#ev.push(
          actor === undefined ? [event.user ? "F" : "FK", page, code] : [event.user ? "F" : "FK", page, code, actor],
        );
        if (this.#happened !== undefined) {
          const { write, exec, user, present } = event;
          this.#happened.push({ kind: "fault", page, write, exec, user, present, ...by(actor) });
        }
        return;
      }
      case "tlb-flush":
        if (event.mm === mm && actor === undefined) this.#ev.push(["T", event.pages, LOCAL_MM_SHOOTDOWN]);
        this.#happened?.push({
          kind: "flush",
          start: pagePlace(event.start),
          end: pagePlace(event.end),
          pages: event.pages,
          scope: event.scope,
          ...of(this.#cast.who(event.mm)),
        });
        return;
      case "set-access-flags": {
        const { fn, before, after, changed } = event;
        this.#happened?.push({
          kind: "set-access-flags",
          fn,
          page: event.vpn - ARENA_PAGE,
          before,
          after,
          changed,
          ...of(this.#cast.who(event.mm)),
        });
        return;
      }
      case "signal": {
        const { code } = event;
        const at = event.vpn - ARENA_PAGE;
        const sig = event.signal === SIGBUS ? "BUS" : "SEGV";
        if (event.mm === mm && actor === undefined) this.#signal = { sig, code, at };
        return;
      }
      case "upgrade": {
        const { pages, site } = event;
        this.#happened?.push({
          kind: "upgrade",
          page: event.vpn - ARENA_PAGE,
          pages,
          site,
          ...of(this.#cast.who(event.mm)),
        });
        return;
      }
      case "handle-mm-fault": {
        const { flags, result } = event;
        this.#happened?.push({
          kind: "handle-mm-fault",
          page: event.vpn - ARENA_PAGE,
          flags,
          result,
          ...of(this.#cast.who(event.mm)),
        });
        return;
      }
    }
  }

  #call(call: BusCall): void {
    const { mm, actor, listening } = this.#cast;
    const { start, end } = call;
    // Whoever was told of the release hears nothing of the unmapping behind it.
    if (call.mm === mm && call.call === "release") this.#released = true;
    if (call.mm === mm && listening && !this.#released && touchesArena(start, end)) {
      switch (call.call) {
        case "invalidate_range_start":
          this.#ev.push(
            actor === undefined ? ["N", placeOf(start), placeOf(end)] : ["N", placeOf(start), placeOf(end), actor],
          );
          break;
        case "clear_flush_young":
        case "clear_young":
          this.#ev.push(
            actor === undefined ? ["A", placeOf(start), placeOf(end)] : ["A", placeOf(start), placeOf(end), actor],
          );
          break;
        case "test_young":
          this.#ev.push(actor === undefined ? ["Y", placeOf(start)] : ["Y", placeOf(start), actor]);
          break;
        default:
          break;
      }
    }
    if (this.#happened === undefined) return;
    const { event, flags, onlyEnd, pte } = call;
    this.#happened.push({
      kind: "notify",
      call: call.call,
      start: placeOf(start),
      end: placeOf(end),
      ...(event === undefined ? {} : { event }),
      ...(flags === undefined ? {} : { flags }),
      ...(onlyEnd === undefined ? {} : { onlyEnd }),
      ...(pte === undefined ? {} : { pte }),
      ...of(this.#cast.who(call.mm)),
      ...by(actor),
    });
  }
}

function by(who: Who | undefined): { readonly who?: Who } {
  return who === undefined ? {} : { who };
}

function of(mm: Who | undefined): { readonly mm?: Who } {
  return mm === undefined ? {} : { mm };
}

/** A virtual page number as records write it. */
function pagePlace(vpn: number): Place {
  if (vpn === 0) return "0";
  return Number.isFinite(vpn) ? vpn - ARENA_PAGE : "max";
}

/** A device's event with pages counted from the arena's base. */
function relative(event: DeviceEvent): DeviceEvent {
  if ("vpn" in event) return { ...event, vpn: event.vpn - ARENA_PAGE };
  if ("start" in event && event.start >= ARENA_PAGE) return { ...event, start: event.start - ARENA_PAGE };
  return event;
}
