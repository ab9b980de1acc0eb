import {
  chain,
  commandQueue,
  ContextDescriptor,
  defineSecondaryMmu,
  iotlb,
  isWholeMm,
  type MmuNotification,
  pageRange,
  type Path,
  phases,
  softwareFault,
  step,
  tlbiNhVa,
} from "@mmu-notifier/sdk";

/** An NPU that walks the CPU's page table and keeps 64 translations. A write that hits a read-only one faults. */
export default defineSecondaryMmu({
  name: "acme-npu",
  sdk: 1,
  summary: "walks the CPU's page table, keeps 64 translations, faults from its TLB",
  declares: {
    pageTable: "shared-walk",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
  },

  create(context) {
    const { faults, memory, mm, notifications, walker } = context;
    const tlb = iotlb(context, { sets: 16, ways: 4, hitPolicy: "fault-from-tlb" });
    const queue = commandQueue(context, {
      target: {
        execute: ({ start, pages }) => tlb.invalidateRange(mm.id, start, start + pages),
        drained: () => tlb.drained,
      },
    });
    const tables = new ContextDescriptor(memory);
    tables.write(mm.id, 1);

    function* release(): Path {
      yield step("walks off", () => {
        tables.quiesce();
        return 0;
      });
      yield* queue.issue([tlbiNhVa(mm.id, 0, Infinity)]);
    }
    function answer(n: MmuNotification): void {
      if (n.phase === "release") return n.waitUntil(release);
      const { start, end } = isWholeMm(n) ? { start: 0, end: Infinity } : pageRange(n);
      n.waitUntil(() => queue.issue([tlbiNhVa(mm.id, start, end - start)]));
    }
    return {
      translation: chain(
        tlb.stage(() => mm.id, walker),
        tables,
        walker,
      ),
      fault: softwareFault(context, faults, { through: tables }),
      connection: notifications
        .pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs", "release"))
        .subscribe(answer),
      unbind: release,
      entries: () => tlb.entries(mm.id),
    };
  },
});
