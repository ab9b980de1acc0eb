import { chain, defineSecondaryMmu, phases, softwareFault } from "@mmu-notifier/sdk";

/** Walks the CPU's page table for every access and keeps nothing. */
export default defineSecondaryMmu({
  name: "acme-npu",
  sdk: 1,
  summary: "walks the CPU's page table for every access",
  declares: {
    pageTable: "shared-walk",
    onMissingRight: "re-walk",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
    cachesReadOnly: false,
  },

  create(context) {
    const { faults, notifications, walker } = context;
    return {
      translation: chain(walker),
      fault: softwareFault(context, faults),
      connection: notifications.pipe(phases("release")).subscribe(() => undefined),
      *unbind() {},
      entries: () => [],
    };
  },
});
