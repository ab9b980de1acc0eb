import {
  type Atc,
  atc,
  atcInv,
  atcInvRange,
  type Binding,
  type BindingContext,
  cfgiCd,
  chain,
  type DeviceFault,
  exceptEvents,
  isWholeMm,
  type MmuNotification,
  pageRange,
  type Path,
  phases,
  softwareFault,
  abortOnFault,
  step,
  tlbiNhAsid,
  tlbiRange,
  type TranslationStage,
  WalkCache,
  type FaultStrategy,
} from "@mmu-notifier/sdk";
import type { ArmSmmuOptions } from "./config.js";
import { ContextDescriptor } from "./context-descriptor.js";
import type { Smmu } from "./smmu.js";

/** Connects an SMMU to an address space by a private ASID: arm_smmu_sva_set_dev_pasid(). */
export function bind(context: BindingContext<Smmu, ArmSmmuOptions>): Binding {
  return new SvaDomain(context).binding();
}

/** The SVA domain: one address space on one SMMU, with the masters that use it. */
class SvaDomain {
  readonly #context: BindingContext<Smmu, ArmSmmuOptions>;
  readonly #smmu: Smmu;
  readonly #cd: ContextDescriptor;
  readonly #atcs: readonly Atc[];
  readonly #ssid: number;

  constructor(context: BindingContext<Smmu, ArmSmmuOptions>) {
    const { atcSets, atcWays, ats, streams } = context.options;
    this.#context = context;
    this.#smmu = context.device;
    this.#ssid = context.mm.id;
    this.#cd = new ContextDescriptor(context.memory);
    this.#atcs = ats ? Array.from({ length: streams }, (_, sid) => atc(context, { sid, ssid: this.#ssid, sets: atcSets, ways: atcWays })) : [];
    for (const cache of this.#atcs) this.#smmu.attach(cache);
    // The descriptor is in place before the first notification can come: the subscription follows.
    this.#cd.write(this.#smmu.asids.alloc());
  }

  binding(): Binding {
    const { notifications, options } = this.#context;
    const experiment = options.experimentalStartEnd || options.experimentalFilter.length > 0;
    const wanted = experiment
      ? notifications.pipe(phases("end", "release"), exceptEvents(...options.experimentalFilter))
      : notifications.pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs", "release"));
    const [firstAtc] = this.#atcs;
    return {
      translation: chain(...(firstAtc === undefined ? [] : [firstAtc]), ...this.#stages()),
      connection: wanted.subscribe((notification) => this.#notified(notification)),
      fault: this.#faultStrategy(),
      unbind: () => this.#unbind(),
      entries: () => [...this.#smmu.iotlb.entries(this.#cd.asid), ...this.#atcs.flatMap((cache) => cache.entries())],
    };
  }

  #stages(): TranslationStage[] {
    const { context: { options, spans, walker }, cd } = { context: this.#context, cd: this.#cd };
    const { iotlb } = this.#smmu;
    if (options.walkCacheEntries === 0) return [iotlb.stage(() => cd.asid, walker), cd, walker];
    const walkCache = new WalkCache(this.#context, { entries: options.walkCacheEntries, span: spans[1]!, asid: () => cd.asid });
    iotlb.addWalkCache(walkCache);
    return [iotlb.stage(() => cd.asid, walker), cd, walker.withWalkCache(walkCache)];
  }

  #faultStrategy(): FaultStrategy {
    const { faults, options } = this.#context;
    const beforeRetry = options.invalidateOnSpurious ? (fault: DeviceFault) => this.#invalidate(fault.vpn, fault.vpn + 1) : undefined;
    if (options.ats) return softwareFault(this.#context, faults, beforeRetry === undefined ? {} : { beforeRetry });
    if (!options.stall || options.streams !== 1) return abortOnFault();
    return this.#smmu.stalls.strategy(faults, beforeRetry);
  }

  #notified(notification: MmuNotification): void {
    if (notification.phase === "release") notification.waitUntil(() => this.#release());
    else {
      const { start, end } = isWholeMm(notification) ? { start: 0, end: Infinity } : pageRange(notification);
      notification.waitUntil(() => this.#invalidate(start, end));
    }
  }

  /** arm_smmu_mm_arch_invalidate_secondary_tlbs(): TLBI, CMD_SYNC, ATC_INV, CMD_SYNC. Never sleeps. */
  *#invalidate(start: number, end: number): Path {
    this.#context.costs.count("callbacks");
    const asid = yield step("cd asid", () => this.#cd.asid);
    yield* this.#smmu.queue.issue(tlbiRange(asid, start, end, { ril: this.#context.options.ril, pageShift: this.#context.host.pageShift }));
    if (this.#atcs.length > 0) yield* this.#smmu.queue.issue(this.#atcs.map((cache) => atcInvRange(cache.sid, cache.ssid, start, end)));
  }

  /** arm_smmu_mm_release(): no walk starts, nothing cached stays. A second time it does nothing. */
  *#release(): Path {
    const asid = yield step("cd: EPD0", () => {
      if (this.#cd.cleared) return -1;
      this.#cd.quiesce();
      return this.#cd.asid;
    });
    if (asid < 0) return;
    yield* this.#smmu.queue.issue([cfgiCd(0, this.#ssid)]);
    yield* this.#dropAll(asid);
    yield step("cd: cleared", () => {
      this.#cd.setCleared();
      return 0;
    });
  }

  *#dropAll(asid: number): Path {
    yield* this.#smmu.queue.issue([tlbiNhAsid(asid)]);
    if (this.#atcs.length > 0) yield* this.#smmu.queue.issue(this.#atcs.map(({ sid, ssid }) => atcInv(sid, ssid, 0, Infinity)));
  }

  /** The ASID goes back only after nothing carries it any more. */
  *#unbind(): Path {
    yield* this.#release();
    yield step("asid: free", () => {
      this.#cd.clear();
      this.#smmu.asids.free(this.#cd.asid);
      return 0;
    });
  }
}
