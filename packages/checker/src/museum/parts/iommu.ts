import type { NotifierBus } from "@mmu-notifier/bus";
import {
  type BindingContext,
  chain,
  defineSecondaryMmu,
  F_TRANSLATION,
  FAULT_ABORT,
  FAULT_RETRY,
  type HitPolicy,
  type Iotlb,
  iotlb,
  IOMMU_PAGE_RESP_SUCCESS,
  type MmuNotification,
  pageRange,
  type PageRange,
  type Path,
  phases,
  type SecondaryMmuDefinition,
  spinUntil,
  step,
  type TranslationStage,
} from "@mmu-notifier/sdk";

/** What a driver of a simple IOMMU does differently. */
export interface IommuRules {
  /** Notifications that it acts on. */
  readonly hears: readonly MmuNotification["phase"][];
  /** Of those, the ones that it lets pass. May look at event and owner only. */
  readonly ignores?: (notification: MmuNotification) => boolean;
  /** Pages that it drops for a range. @defaultValue the range's own */
  readonly drops?: (range: PageRange) => PageRange;
  /** What the IOTLB does with a cached entry that lacks a right. @defaultValue `fault-from-tlb` */
  readonly hitPolicy?: HitPolicy;
  /** Entries of the IOTLB. @defaultValue 4 */
  readonly ways?: number;
  /** What an entry for a huge page holds: all of it, or the base page that was asked for. @defaultValue `whole` */
  readonly blocks?: "whole" | "splintered";
  /** Hears the CPUs' broadcast TLB maintenance, which takes effect at once. @defaultValue false */
  readonly snoops?: boolean;
  /** Drops a range page by page, each in a step of its own; told in the last how many there were. */
  readonly onePageAtATime?: (pages: number) => void;
  /** Told what the driver subscribed, for scenes that unregister it in a path. */
  readonly connected?: (connection: Parameters<NotifierBus["subscriptionOf"]>[0]) => void;
  /** Something between IOTLB and page table: a switch of tables, a PASID table. */
  readonly gate?: (context: BindingContext<undefined, Record<string, never>>) => IommuGate;
}

/** See {@link IommuRules.gate}. */
interface IommuGate extends TranslationStage {
  /** Runs for each notification that is heard, in place of dropping its range. */
  notified(notification: MmuNotification, tlb: Iotlb): Path;
}

/** Lets walks begin while `on`; they fault otherwise. */
export function contextEntry(on: () => boolean, label = "context entry"): TranslationStage {
  return {
    *translate(request, next) {
      const { held } = request;
      const goesOn = yield step(label, () => {
        if (on()) return 1;
        held.end();
        return 0;
      });
      return goesOn === 0 ? F_TRANSLATION : yield* next(request);
    },
  };
}

/** Every page of the address space. */
const EVERYTHING: PageRange = { start: 0, end: Infinity };
const TAG = 1;

/**
 * An IOMMU that walks the CPU's page table and caches what it finds, and whose driver drops entries in one step: for scenes in which the
 * command queue does not matter.
 */
export function iommu({
  connected,
  hears,
  ignores,
  drops,
  hitPolicy = "fault-from-tlb",
  ways = 4,
  blocks = "whole",
  gate,
  snoops = false,
  onePageAtATime,
}: IommuRules): SecondaryMmuDefinition {
  return defineSecondaryMmu({
    name: "iommu",
    sdk: 1,
    summary: "IOTLB over the CPU's page table, invalidated in one step",
    declares: {
      pageTable: "shared-walk",
      onMissingRight: hitPolicy === "rewalk-on-permission-fault" ? "re-walk" : "fault",
      resolvesFaultsInSoftware: false,
      reachedByBroadcast: snoops ? ["inner-shareable"] : [],
      filters: [],
    },
    create(context) {
      const { faults, notifications, walker } = context;
      const tlb = iotlb(context, { sets: 1, ways, hitPolicy, blocks });
      const stage = tlb.stage(() => TAG, walker);
      const gated = gate?.(context);
      if (snoops)
        context.dvm.join({
          tlbi: (_asid, start, end) => tlb.invalidateRange(TAG, start, end),
          drained: () => tlb.drained,
        });
      const released = context.memory.words("released", 2);
      const entry = contextEntry(() => released.get(0) === 0);
      const drop = function* (notification: MmuNotification): Path {
        const range = notification.phase === "release" ? EVERYTHING : pageRange(notification);
        const { start, end } = drops?.(range) ?? range;
        if (notification.phase === "release") {
          // Exit and unregister may both call it: the second leaves the work to the first.
          const before = yield step("context entry: off", () => {
            const was = released.get(0);
            released.set(0, 1);
            return was;
          });
          if (before !== 0) return;
        }
        if (onePageAtATime !== undefined)
          for (let page = start; page < end; page++)
            yield step(`iotlb: drop page ${page}`, () => {
              if (page === end - 1) onePageAtATime(end - start);
              return tlb.invalidateVA(TAG, page);
            });
        else yield step(`iotlb: drop pages ${start} to ${end - 1}`, () => tlb.invalidateRange(TAG, start, end));
        yield spinUntil("iotlb: accesses are through", () => tlb.drained);
      };
      const connection = notifications.pipe(phases(...hears)).subscribe((notification: MmuNotification) => {
        if (ignores?.(notification) === true) return;
        notification.waitUntil(gated === undefined ? drop : (n) => gated.notified(n, tlb));
      });
      connected?.(connection);
      return {
        translation: chain(
          stage,
          ...(gated === undefined ? [] : [gated]),
          ...(hears.includes("release") ? [entry] : []),
          walker,
        ),
        connection,
        fault: {
          name: "page request",
          *handle({ vpn, write }) {
            return (yield* faults.handleMmFault(vpn, write)) === IOMMU_PAGE_RESP_SUCCESS ? FAULT_RETRY : FAULT_ABORT;
          },
        },
        *unbind() {
          yield step("iotlb: drop all", () => tlb.invalidateASID(TAG));
        },
        entries: () => tlb.entries(TAG),
      };
    },
  });
}
