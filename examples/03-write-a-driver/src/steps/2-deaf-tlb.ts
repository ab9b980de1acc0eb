import { chain, defineSecondaryMmu, iotlb, phases, softwareFault } from "@mmu-notifier/sdk";

/** Keeps 64 translations and listens to nobody: what goes wrong then is the subject of this whole project. */
export default defineSecondaryMmu({
  name: "acme-npu",
  sdk: 1,
  summary: "keeps 64 translations and never drops one",
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
    return {
      translation: chain(
        tlb.stage(() => mm.id, walker),
        walker,
      ),
      fault: softwareFault(context, faults),
      connection: notifications.pipe(phases("release")).subscribe(() => undefined),
      *unbind() {},
      entries: () => tlb.entries(mm.id),
    };
  },
});
