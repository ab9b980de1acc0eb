import {
  chain,
  CommandQueue,
  defineSecondaryMmu,
  invalidations,
  iotlb,
  OPCODES,
  pageRange,
  softwareFault,
  tlbiNhVa,
} from "@mmu-notifier/sdk";

export default defineSecondaryMmu({
  name: "acme-npu",
  sdk: 1,
  summary: "walks the CPU's page table, caches four translations, drops them page by page",
  declares: {
    pageTable: "shared-walk",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
  },
  create(context) {
    const tlb = iotlb(context, { sets: 1, ways: 4, hitPolicy: "fault-from-tlb" });
    const queue = new CommandQueue(context, {
      depth: 16,
      batch: 8,
      target: {
        execute: ({ opcode, start, pages }) =>
          opcode === OPCODES.CMD_TLBI_NH_VA && tlb.invalidateRange(1, start, start + pages),
        drained: () => tlb.drained,
      },
    });
    function* drop(start: number, end: number) {
      yield* queue.issue([tlbiNhVa(1, start, end - start)]);
    }
    return {
      translation: chain(
        tlb.stage(() => 1, context.walker),
        context.walker,
      ),
      connection: context.notifications.pipe(invalidations()).subscribe((n) => {
        const { start, end } = pageRange(n);
        n.waitUntil(() => drop(start, end));
      }),
      fault: softwareFault(context, context.faults),
      unbind: () => drop(0, Infinity),
      entries: () => tlb.entries(1),
    };
  },
});
