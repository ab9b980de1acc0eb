import { type Path, step } from "@mmu-notifier/steps";
import type { SecondaryEntry } from "../binding.js";
import type { HardwareContext } from "../context.js";
import type { Words } from "../device-memory.js";
import { drawHitPolicy, type HitPolicy } from "./hit-policy.js";
import { InFlight } from "./in-flight.js";
import { TlbArray, type TlbShape } from "./tlb-array.js";
import { AccessRequest, type HeldRows, type NextStage, type TranslationStage } from "./translation.js";
import {
  F_PERMISSION,
  F_TRANSL_FORBIDDEN,
  leafAllows,
  TRANSLATION_KILLED,
  type TranslationResult,
} from "./translation-result.js";

/** How a device's translation cache is built. */
export interface AtcOptions extends TlbShape {
  /** Stream id of the device. */
  readonly sid: number;
  /** Substream id (PASID) of the address space that this cache is for. */
  readonly ssid: number;
  /**
   * What the device does with an entry that lacks a right: faults on it, or sends another translation request.
   *
   * @defaultValue 'nondeterministic'
   */
  readonly hitPolicy?: HitPolicy;
}

const DEAD = 0;
const FORBIDDEN = 1;

/**
 * The address translation cache inside a device (PCIe ATS). It is filled by translation requests, whose completions carry rights
 * instead of faults, and emptied by invalidate requests. What it hands out is used without asking the IOMMU again: a stale entry
 * is a stale mapping.
 *
 * A completion that an invalidate request overtook is discarded when it arrives. The invalidate completion waits for accesses
 * that use what was dropped: see {@link drained}.
 *
 * @public
 */
export class Atc implements TranslationStage {
  readonly sid: number;
  readonly ssid: number;
  readonly inFlight: InFlight;
  readonly #array: TlbArray;
  readonly #context: HardwareContext;
  readonly #policy: HitPolicy;
  readonly #registers: Words;

  constructor(context: HardwareContext, options: AtcOptions) {
    this.sid = options.sid;
    this.ssid = options.ssid;
    this.#context = context;
    this.#policy = options.hitPolicy ?? "nondeterministic";
    this.#array = new TlbArray(context.memory, context.spans, `atc ${options.sid}.${options.ssid}`, options);
    this.inFlight = new InFlight(context.memory, `atc ${options.sid}.${options.ssid}`);
    this.#registers = context.memory.words(`atc ${options.sid}.${options.ssid} registers`, 2);
    context.failures.add({
      name: `atc ${options.sid}.${options.ssid} does not answer invalidate requests`,
      set: (failed) => this.setDead(failed),
    });
  }

  /** The device stops answering invalidate requests: an injected failure. In a step or at set-up. */
  setDead(dead: boolean): void {
    this.#registers.set(DEAD, dead ? 1 : 0);
  }

  /** The device does not answer: its invalidate requests time out. */
  get dead(): boolean {
    return this.#registers.get(DEAD) !== 0;
  }

  /**
   * STE.EATS = 0: the IOMMU answers no translation request of the device any more and lets no translated access pass, so that nothing the
   * cache holds is of any use. In a step; accesses under way are done when the next barrier completes.
   */
  forbid(): void {
    this.#registers.set(FORBIDDEN, 1);
    this.#drop(0, Infinity);
  }

  /** {@link forbid} has been called: whoever sends an invalidate request now waits in vain. */
  get forbidden(): boolean {
    return this.#registers.get(FORBIDDEN) !== 0;
  }

  *translate(request: AccessRequest, next: NextStage): Path<TranslationResult> {
    const { vpn, write } = request;
    const { costs, events } = this.#context;
    const policy = yield* drawHitPolicy(this.#policy);
    const looked = yield step("atc lookup", () => {
      if (this.forbidden) return F_TRANSL_FORBIDDEN;
      const slot = this.#array.find(0, vpn);
      let leaf = this.#array.leaf(slot, vpn);
      const refused = leaf !== 0 && !leafAllows(leaf, write);
      if (refused && policy !== "fault-from-tlb") this.#array.drop(slot);
      if (refused && policy === "rewalk-on-permission-fault") leaf = 0;
      costs.count(leaf === 0 ? "misses" : "hits");
      if (events.observed) events.emit({ kind: "lookup", cache: "atc", asid: this.ssid, vpn, hit: leaf !== 0 });
      if (leaf === 0) return this.inFlight.walk(0, vpn) * ROW;
      return refused ? F_PERMISSION : this.inFlight.use(0, vpn) * ROW + leaf;
    });
    if (looked < 0) return looked;
    const row = Math.floor(looked / ROW);
    request.hold(this.inFlight, row);
    if (looked % ROW !== 0) return looked % ROW;
    costs.count("translationRequests");
    const completion = yield* next(new AccessRequest(vpn, write, true));
    const { held } = request;
    return yield step("ats completion", () => this.#arrive(request, held, row, completion));
  }

  /** An invalidate request for pages [start, end). Returns the number of entries dropped, -1 when the device is dead. In steps. */
  invalidate(start: number, end: number): number {
    return this.dead ? -1 : this.#drop(start, end);
  }

  #drop(start: number, end: number): number {
    this.inFlight.cover(-1, start, end, this.#context.spans[1]);
    return this.#array.invalidate(-1, start, end, (vpn) => {
      this.#context.costs.dropped(-1, vpn, false);
      if (this.#context.events.observed)
        this.#context.events.emit({ kind: "evict", cache: "atc", asid: this.ssid, vpn, needless: false });
    });
  }

  /** No access uses what was dropped, so that the invalidate completion may be sent; or nobody will send it. */
  get drained(): boolean {
    return (this.dead && !this.forbidden) || this.inFlight.drained;
  }

  /** An invalidate request arrived, and the device has stopped answering before it could say that it was done. */
  get unanswered(): boolean {
    return this.dead && !this.forbidden && !this.inFlight.drained;
  }

  /** The entries, for checkers and pictures. */
  entries(): SecondaryEntry[] {
    return this.#array.entries(0, "atc");
  }

  #arrive(
    { vpn, write }: AccessRequest,
    held: HeldRows,
    row: number,
    completion: TranslationResult,
  ): TranslationResult {
    const { costs, events } = this.#context;
    if (completion <= 0 || held.killed()) {
      held.end();
      return completion <= 0 ? completion : TRANSLATION_KILLED;
    }
    const slot = this.#array.insert(0, vpn, completion);
    costs.inserted(-1, vpn);
    if (events.observed) {
      const { vpn: first, pages, pfn, write: writable } = this.#array.entry(slot);
      events.emit({ kind: "insert", cache: "atc", asid: this.ssid, vpn: first, pages, pfn, write: writable });
    }
    if (leafAllows(completion, write)) {
      this.inFlight.found(row);
      return completion;
    }
    held.end();
    return F_PERMISSION;
  }
}

const ROW = 2 ** 32;

/** Makes the translation cache of a device. */
export function atc(context: HardwareContext, options: AtcOptions): Atc {
  return new Atc(context, options);
}
