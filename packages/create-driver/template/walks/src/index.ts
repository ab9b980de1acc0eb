import {
  answering,
  chain,
  commandQueue,
  ContextDescriptor,
  defineSecondaryMmu,
  flushes,
  iotlb,
  type Path,
  softwareFault,
  step,
  tlbiNhAsid,
  tlbiNhVa,
  tlbTarget,
} from "@mmu-notifier/sdk";

/** A device that walks the CPU's page table and keeps translations. A write that hits a read-only one faults. */
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
    const queue = commandQueue(context, { target: tlbTarget({ iotlbs: [tlb] }) });
    const tables = new ContextDescriptor(memory);
    tables.write(mm.id, 1);

    function* release(): Path {
      yield step("walks off", () => {
        tables.quiesce();
        return 0;
      });
      yield* queue.issue([tlbiNhAsid(mm.id)]);
    }
    return {
      // How an access finds its frame: its own cache, a descriptor that can forbid walks, the CPU's table.
      translation: chain(
        tlb.stage(() => mm.id, walker),
        tables,
        walker,
      ),
      // What it is told, and what it does then, before the kernel goes on.
      connection: notifications.pipe(flushes()).subscribe(
        answering({
          invalidate: (start, end) =>
            queue.issue([end === Infinity ? tlbiNhAsid(mm.id) : tlbiNhVa(mm.id, start, end - start)]),
          release,
        }),
      ),
      // What it does about a translation that failed: an interrupt, and the kernel resolves it.
      fault: softwareFault(context, faults, { table: walker, through: tables }),
      unbind: release,
      entries: () => tlb.entries(mm.id),
    };
  },
});
