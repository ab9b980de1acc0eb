import { type Path, step } from "@mmu-notifier/steps";
import type { CachedTable, SecondaryEntry } from "../binding.js";
import type { BindingContext } from "../context.js";
import { type DeviceFault, FAULT_ABORT, type FaultStrategy } from "../fault-strategy.js";
import { Atc } from "./atc.js";
import { chain } from "./chain.js";
import { CERROR_ATC_INV_SYNC } from "./command-queue.js";
import { atcInv, cfgiCd, cfgiSte, type Command, tlbiNhAsid } from "./commands.js";
import { ContextDescriptor } from "./context-descriptor.js";
import { abortOnFault, softwareFault } from "./fault-strategies.js";
import { atcInvRange, tlbiRange } from "./range-encoding.js";
import type { SmmuV3, SmmuV3Options } from "./smmu-v3.js";
import type { Translation } from "./translation.js";
import { WalkCache } from "./walk-cache.js";

/**
 * One address space on one SMMU with the masters that use it: context descriptor, device caches, and the command sequences on them. Which
 * sequence answers which notification is the driver's decision.
 *
 * @public
 */
export class SvaDomain {
  readonly cd: ContextDescriptor;
  readonly atcs: readonly Atc[];
  readonly #context: BindingContext<unknown, SmmuV3Options>;
  readonly #smmu: SmmuV3;
  #walkCache: WalkCache | undefined;

  /** The descriptor is in place, and with it `asid`, before the driver subscribes: no walk comes earlier than the first notification. */
  constructor(context: BindingContext<unknown, SmmuV3Options>, smmu: SmmuV3, asid: number, aset: 0 | 1) {
    const { atcHitPolicy, atcSets, atcWays, ats, streams } = context.options;
    this.#context = context;
    this.#smmu = smmu;
    this.cd = new ContextDescriptor(context.memory);
    this.cd.write(asid, aset);
    smmu.install(this.cd);
    const shape = { ssid: context.mm.id, sets: atcSets, ways: atcWays, hitPolicy: atcHitPolicy };
    this.atcs = ats ? Array.from({ length: streams }, (_, sid) => new Atc(context, { sid, ...shape })) : [];
    for (const cache of this.atcs) smmu.attach(cache);
  }

  /** ATC, IOTLB, context descriptor, page table. */
  translation(): Translation {
    const { options, spans, walker } = this.#context;
    const { iotlb } = this.#smmu;
    const asid = (): number => this.cd.asid;
    const [atc] = this.atcs;
    const above = atc === undefined ? [] : [atc];
    if (options.walkCacheEntries === 0) return chain(...above, iotlb.stage(asid, walker), this.cd, walker);
    const walkCache = new WalkCache(this.#context, { entries: options.walkCacheEntries, span: spans[1]!, asid });
    iotlb.addWalkCache(walkCache);
    this.#walkCache = walkCache;
    return chain(...above, iotlb.stage(asid, walker), this.cd, walker.withWalkCache(walkCache));
  }

  /**
   * What the masters can do about a fault: stall, raise their own fault, or nothing. After release the descriptor's S is clear and every
   * fault aborts. `beforeRetry` runs after the host resolved the fault and before the access is tried again.
   */
  faultStrategy(beforeRetry?: (fault: DeviceFault) => Path): FaultStrategy {
    const { cd } = this;
    const alive = this.#strategy(beforeRetry);
    const gone = (): boolean => cd.dead || this.#atsDisabled;
    return {
      name: alive.name,
      *handle(fault) {
        const dead = yield step("cd.S", () => (gone() ? 1 : 0));
        return dead !== 0 ? FAULT_ABORT : yield* alive.handle(fault);
      },
    };
  }

  #strategy(beforeRetry?: (fault: DeviceFault) => Path): FaultStrategy {
    const { faults, options, walker } = this.#context;
    const faultOptions = { table: walker, ...(beforeRetry === undefined ? {} : { beforeRetry }) };
    if (options.ats) return softwareFault(this.#context, faults, faultOptions);
    if (!options.stall || options.streams !== 1) return abortOnFault();
    return this.#smmu.stalls.strategy(faults, faultOptions);
  }

  /** TLBI for pages [start, end) and CMD_SYNC. Spins, never sleeps. */
  *invalidateTlb(start: number, end: number): Path {
    const { host, options } = this.#context;
    const asid = yield step("cd asid", () => this.cd.asid);
    yield* this.#smmu.queue.issue(tlbiRange(asid, start, end, { ril: options.ril, pageShift: host.pageShift }));
  }

  /**
   * ATC_INV for an aligned span around pages [start, end) to each master, and CMD_SYNC. Nothing without ATS. What a master that does not
   * answer has cached is of no use afterwards: see {@link SmmuV3Options.onAtcTimeout}.
   */
  invalidateAtcs(start: number, end: number): Path {
    return this.#emptyAtcs(this.atcs.map(({ sid, ssid }) => atcInvRange(sid, ssid, start, end)));
  }

  *#emptyAtcs(commands: readonly Command[]): Path {
    if (commands.length === 0) return;
    const disabled = yield step("master->ats_enabled", () => (this.#atsDisabled ? 1 : 0));
    if (disabled !== 0) return;
    const error = yield* this.#smmu.queue.issue(commands);
    if (error !== CERROR_ATC_INV_SYNC || this.#context.options.onAtcTimeout === "go-on") return;
    // The barrier does not say who was silent, and what was to be dropped must be out of use when this call returns.
    yield step("ste.EATS = 0", () => {
      for (const cache of this.atcs) cache.forbid();
      return 0;
    });
    yield* this.#smmu.queue.issue(this.atcs.map(({ sid }) => cfgiSte(sid)));
  }

  /** In steps. */
  get #atsDisabled(): boolean {
    return this.atcs.some((cache) => cache.forbidden);
  }

  /** arm_smmu_mm_release(): no walk starts any more and nothing cached stays. A second time it does nothing. */
  *release(): Path {
    const asid = yield step("cd: EPD0", () => {
      if (this.cd.cleared) return -1;
      this.cd.quiesce();
      return this.cd.asid;
    });
    if (asid < 0) return;
    const { queue } = this.#smmu;
    yield* queue.issue([cfgiCd(0, this.#context.mm.id)]);
    yield* queue.issue([tlbiNhAsid(asid)]);
    yield* this.#emptyAtcs(this.atcs.map(({ sid, ssid }) => atcInv(sid, ssid, 0, Infinity)));
    yield step("cd: cleared", () => {
      this.cd.setCleared();
      return 0;
    });
  }

  /** What the walk cache holds for this address space. */
  tables(): readonly CachedTable[] {
    return this.#walkCache?.tables() ?? [];
  }

  /** Every translation that the masters could use now. */
  entries(): readonly SecondaryEntry[] {
    return [...this.#smmu.iotlb.entries(this.cd.asid), ...this.atcs.flatMap((cache) => cache.entries())];
  }
}
