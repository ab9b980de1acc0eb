import {
  chain,
  commandQueue,
  defineSecondaryMmu,
  iotlb,
  isWholeMm,
  type MmuNotification,
  pageRange,
  phases,
  softwareFault,
  tlbiNhVa,
} from "@mmu-notifier/sdk";

/** Drops what the kernel says has changed, by commands, and waits until the hardware has done so. */
export default defineSecondaryMmu({
  name: "acme-npu",
  sdk: 1,
  summary: "keeps 64 translations, drops those that the kernel names",
  declares: {
    pageTable: "shared-walk",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
  },

  create(context) {
    const { faults, mm, notifications, walker } = context;
    const tlb = iotlb(context, { sets: 16, ways: 4, hitPolicy: "fault-from-tlb" });
    const queue = commandQueue(context, {
      target: {
        execute: ({ start, pages }) => tlb.invalidateRange(mm.id, start, start + pages),
        drained: () => tlb.drained,
      },
    });
    function invalidate(n: MmuNotification): void {
      const { start, end } = isWholeMm(n) ? { start: 0, end: Infinity } : pageRange(n);
      n.waitUntil(() => queue.issue([tlbiNhVa(mm.id, start, end - start)]));
    }
    return {
      translation: chain(
        tlb.stage(() => mm.id, walker),
        walker,
      ),
      fault: softwareFault(context, faults),
      connection: notifications
        .pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs"))
        .subscribe(invalidate),
      *unbind() {
        yield* queue.issue([tlbiNhVa(mm.id, 0, Infinity)]);
      },
      entries: () => tlb.entries(mm.id),
    };
  },
});
