import { chain, defineSecondaryMmu, IntervalMirror, iotlb, type Path, spinUntil, step } from "@mmu-notifier/sdk";

const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";

/** A device with a page table that its driver keeps, and a TLB above it. A missing right is looked up in the process again. */
export default defineSecondaryMmu({
  name: "acme-npu",
  sdk: 1,
  summary: "mirrors the process's page table by an interval notifier, keeps 4 translations above it",
  declares: {
    pageTable: "mirror",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: true,
    reachedByBroadcast: [],
    filters: [UPGRADE],
    maySleep: true,
    nonBlockable: "refuses",
  },

  create(context) {
    const { mm } = context;
    const tlb = iotlb(context, { sets: 1, ways: 4, hitPolicy: "fault-from-tlb" });

    function* flush(start: number, end: number): Path {
      yield step("tlb: invalidate", () => tlb.invalidateRange(mm.id, start, end));
      yield spinUntil("tlb: idle", () => tlb.drained);
    }
    const mirror = new IntervalMirror(context, {
      // A right that was added takes nothing away: whoever misses it faults and finds it.
      ignores: ({ event }) => event === UPGRADE,
      flush,
    });
    return {
      attach: () => mirror.insert(),
      translation: chain(
        tlb.stage(() => mm.id, mirror),
        mirror,
      ),
      fault: mirror.strategy(),
      unbind: () => mirror.remove(),
      entries: () => [...mirror.entries(), ...tlb.entries(mm.id)],
    };
  },
});
