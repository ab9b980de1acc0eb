import {
  type Binding,
  type BindingContext,
  chain,
  commandQueue,
  defineSecondaryMmu,
  type DeviceFault,
  FAULT_RETRY,
  GuestTable,
  IntervalMirror,
  iotlb,
  type Path,
  refusingStage,
  step,
  tlbiNhAll,
  tlbiNhVa,
  tlbiS2Ipa,
  tlbTarget,
  twoStage,
} from "@mmu-notifier/sdk";

/** What can be set about the SMMU and its driver. */
interface NestedOptions {
  /** After a change of stage 2, also drop what was combined from it. Without, a guest's device goes on with frames that are gone: a bug to be shown. */
  readonly clearStage1: boolean;
  readonly tlbWays: number;
}

/** The guest's ASID, and the VMID that the host gave it. */
const ASID = 1;
const VMID = 1;

function create(context: BindingContext<undefined, NestedOptions>): Binding {
  const { options } = context;
  const tlb = iotlb(context, { sets: 1, ways: options.tlbWays, hitPolicy: "fault-from-tlb" });
  // TLBI by IPA empties caches of stage 2 alone; this SMMU has none, it caches both stages as one.
  const queue = commandQueue(context, { target: tlbTarget({ iotlbs: [tlb] }) });
  const stage1 = new GuestTable(context);
  const stage2 = new IntervalMirror(context, {
    *flush(start, end) {
      const combined = options.clearStage1 ? [tlbiNhAll(VMID)] : [];
      yield* queue.issue([tlbiS2Ipa(VMID, start, end - start), ...combined]);
    },
  });
  const host = stage2.strategy();

  /** The guest maps a page for its device with the right that it wants, and flushes the way a kernel flushes its IOMMU. */
  function* guestFault({ vpn, write }: DeviceFault): Path<number> {
    const changed = yield step("guest: stage 1 map", () => {
      const before = stage1.peek(vpn) > 0 ? 1 : 0;
      stage1.map(vpn, write);
      return before;
    });
    // Trapped, or taken from the guest's own queue: the same command reaches the same caches.
    if (changed !== 0) yield* queue.issue([tlbiNhVa(ASID, vpn)]);
    return FAULT_RETRY;
  }
  function* handle(fault: DeviceFault): Path<number> {
    const stage = yield step("event: which stage", () => refusingStage(stage1, stage2, fault.vpn, fault.write) ?? 0);
    if (stage === 0) return FAULT_RETRY;
    return stage === 1 ? yield* guestFault(fault) : yield* host.handle(fault);
  }
  return {
    attach: () => stage2.insert(),
    translation: chain(
      tlb.stage(() => ASID, stage2),
      twoStage(stage1),
      stage2,
    ),
    fault: { name: "stall", handle },
    unbind: () => stage2.remove(),
    entries: () => [...stage2.entries(), ...tlb.entries(ASID)],
  };
}

/** An SMMU that a guest uses: stage 1 is the guest's, stage 2 is the host's mirror of the guest's memory. */
export default defineSecondaryMmu<undefined, NestedOptions>({
  name: "nested-smmu",
  sdk: 1,
  summary: "two-stage SMMU of a guest's device: the guest's stage 1 over the host's stage 2, cached as one",
  options: { clearStage1: true, tlbWays: 4 },
  declares: {
    pageTable: "mirror",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: true,
    reachedByBroadcast: [],
    filters: [],
    maySleep: true,
    nonBlockable: "refuses",
  },
  create,
});
