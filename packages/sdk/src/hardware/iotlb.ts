import { type Path, type Step, step } from "@mmu-notifier/steps";
import type { SecondaryEntry } from "../binding.js";
import type { HardwareContext } from "../context.js";
import { type HitPolicy, drawHitPolicy } from "./hit-policy.js";
import { InFlight } from "./in-flight.js";
import { TlbArray, type TlbShape } from "./tlb-array.js";
import type { AccessRequest, NextStage, TranslationStage } from "./translation.js";
import { F_PERMISSION, leafAllows, TRANSLATION_KILLED, type TranslationResult } from "./translation-result.js";
import type { WalkCache } from "./walk-cache.js";

/** How an IOTLB is built. */
export interface IotlbOptions extends TlbShape {
  /** @defaultValue 'nondeterministic' */
  readonly hitPolicy?: HitPolicy;
  /** What observers and {@link SecondaryEntry} call it. @defaultValue 'iotlb' */
  readonly name?: "iotlb" | "vcpu-tlb";
}

/** Says what the table behind a cache would answer now, without side effects. */
export interface Peek {
  peek(vpn: number): TranslationResult;
}

const ROW = 2 ** 32;
const MISS = 0;

/**
 * A translation cache of an IOMMU: tags are address-space id, page and level, the content is a frame and rights. Entries come
 * from walks only and leave by invalidation or for want of room. Entries that forbid are cached like others; failing walks are not.
 *
 * The invalidations carry the specification's names and are for steps. Every one also kills the walks that it overtakes and
 * marks the accesses that still use what it drops: see {@link drained}.
 *
 * @public
 */
export class Iotlb {
  readonly inFlight: InFlight;
  readonly #array: TlbArray;
  readonly #context: HardwareContext;
  readonly #policy: HitPolicy;
  readonly #name: "iotlb" | "vcpu-tlb";
  readonly #bindings: { readonly asid: () => number; readonly table: Peek }[] = [];
  readonly #walkCaches: WalkCache[] = [];

  constructor(context: HardwareContext, options: IotlbOptions) {
    this.#name = options.name ?? "iotlb";
    this.#context = context;
    this.#policy = options.hitPolicy ?? "nondeterministic";
    this.#array = new TlbArray(context.memory, context.spans, this.#name, options);
    this.inFlight = new InFlight(context.memory, this.#name);
  }

  /**
   * The stage of one address space. `asid` is called in steps, so that a driver may renumber; `table` serves the cost counters.
   */
  stage(asid: () => number, table: Peek): TranslationStage {
    this.#bindings.push({ asid, table });
    return {
      translate: (request, next) => this.#translate(asid, request, next),
      hit: (vpn, write) => {
        const leaf = this.peek(asid(), vpn);
        if (leaf === MISS || !leafAllows(leaf, write)) return MISS;
        this.#context.costs.count("hits");
        return leaf;
      },
    };
  }

  /** A cache of upper-level entries that the invalidations of this IOTLB reach too. */
  addWalkCache(walkCache: WalkCache): void {
    this.#walkCaches.push(walkCache);
  }

  /** The cached leaf for a page, or 0; touches nothing. In steps, or for a replay's fast path. */
  peek(asid: number, vpn: number): TranslationResult {
    return this.#array.leaf(this.#array.find(asid, vpn), vpn);
  }

  /** TLBI by VA: drops what translates page `vpn`, of whatever size. Returns the number of entries dropped. */
  invalidateVA(asid: number, vpn: number, leafOnly = false): number {
    return this.invalidateRange(asid, vpn, vpn + 1, leafOnly);
  }

  /** TLBI by range: drops everything of `asid` that overlaps pages [start, end). */
  invalidateRange(asid: number, start: number, end: number, leafOnly = false): number {
    this.inFlight.cover(asid, start, end, this.#context.spans[1]);
    if (!leafOnly) for (const cache of this.#walkCaches) cache.invalidate(asid, start, end);
    return this.#array.invalidate(asid, start, end, (vpn, leaf, of) => this.#dropped(of, vpn, leaf));
  }

  /** TLBI by ASID. */
  invalidateASID(asid: number): number {
    return this.invalidateRange(asid, 0, Infinity);
  }

  /** TLBI ALL. */
  invalidateAll(): number {
    return this.invalidateRange(-1, 0, Infinity);
  }

  /** Every access that used a dropped entry is complete: a barrier may be. */
  get drained(): boolean {
    return this.inFlight.drained;
  }

  /** The entries of `asid`, for checkers and pictures. */
  entries(asid: number): SecondaryEntry[] {
    return this.#array.entries(asid, this.#name);
  }

  *#translate(asidOf: () => number, request: AccessRequest, next: NextStage): Path<TranslationResult> {
    const { vpn, write, ats } = request;
    const policy = yield* drawHitPolicy(this.#policy);
    const looked = yield this.#lookup(asidOf, policy, request);
    if (looked < 0) return looked;
    const leaf = looked % ROW;
    if (leaf !== MISS) {
      if (!ats) request.hold(this.inFlight, Math.floor(looked / ROW));
      return leaf;
    }
    const row = Math.floor(looked / ROW);
    request.hold(this.inFlight, row);
    const walked = yield* next(request);
    if (walked <= 0) return walked;
    const { held } = request;
    const inserted = yield step("walk-insert", () => {
      if (held.killed()) {
        held.end();
        this.#context.costs.count("killedWalks");
        return TRANSLATION_KILLED;
      }
      const asid = asidOf();
      const at = this.#array.insert(asid, vpn, walked);
      this.#context.costs.inserted(asid, vpn);
      if (this.#context.events.observed) this.#observeInsert(asid, at);
      if (!ats && leafAllows(walked, write)) {
        this.inFlight.found(row);
        return walked;
      }
      // A translation request leaves this cache here; a refused access faults here.
      if (ats) this.inFlight.end(row);
      else held.end();
      return ats ? walked : F_PERMISSION;
    });
    if (ats) request.letGo(this.inFlight, row);
    return inserted;
  }

  #lookup(asidOf: () => number, policy: HitPolicy, { vpn, write, ats }: AccessRequest): Step {
    const { costs, events } = this.#context;
    return step(`${this.#name} lookup`, () => {
      const asid = asidOf();
      const slot = this.#array.find(asid, vpn);
      let leaf = this.#array.leaf(slot, vpn);
      if (leaf !== MISS && !leafAllows(leaf, write)) {
        if (policy === "rewalk-on-permission-fault" || (policy === "drop-and-fault" && !ats)) this.#array.drop(slot);
        if (policy === "rewalk-on-permission-fault") leaf = MISS;
        else if (!ats) {
          costs.count("hits");
          if (events.observed) events.emit({ kind: "lookup", cache: this.#name, asid, vpn, hit: true });
          return F_PERMISSION;
        }
      }
      const hit = leaf !== MISS;
      costs.count(hit ? "hits" : "misses");
      if (events.observed) events.emit({ kind: "lookup", cache: this.#name, asid, vpn, hit });
      if (!hit) return this.inFlight.walk(asid, vpn) * ROW;
      return ats ? leaf : this.inFlight.use(asid, vpn) * ROW + leaf;
    });
  }

  #dropped(asid: number, vpn: number, leaf: number): void {
    const needless = this.#bindings.some((binding) => binding.asid() === asid && binding.table.peek(vpn) === leaf);
    this.#context.costs.dropped(asid, vpn, needless);
    if (this.#context.events.observed)
      this.#context.events.emit({ kind: "evict", cache: this.#name, asid, vpn, needless });
  }

  #observeInsert(asid: number, slot: number): void {
    const { vpn, pages, pfn, write } = this.#array.entry(slot);
    this.#context.events.emit({ kind: "insert", cache: this.#name, asid, vpn, pages, pfn, write });
  }
}

/**
 * Makes an IOTLB.
 *
 * @throws SdkError SDK_HARDWARE_CONFIG
 */
export function iotlb(context: HardwareContext, options: IotlbOptions): Iotlb {
  return new Iotlb(context, options);
}
