import {
  type Binding,
  type BindingContext,
  chain,
  commandQueue,
  defineSecondaryMmu,
  IntervalMirror,
  iotlb,
  OPCODES,
  powerOfTwoPieces,
  tlbiNhVa,
  tlbTarget,
} from "@mmu-notifier/sdk";

/** What can be set about a memory region. */
interface OdpOptions {
  /** First page of the region; with 0 pages the region is implicit: the whole address space. */
  readonly start: number;
  readonly pages: number;
  /** Entries of the NIC's cache of translations. */
  readonly mttWays: number;
}

function create(context: BindingContext<undefined, OdpOptions>): Binding {
  const { mm, options } = context;
  const mtts = iotlb(context, { sets: 1, ways: options.mttWays, hitPolicy: "fault-from-tlb" });
  // The NIC's translations change by work requests that its driver posts to itself and waits for.
  const umr = commandQueue(context, {
    names: { [OPCODES.CMD_TLBI_NH_VA]: "umr_zap_mtt", [OPCODES.CMD_SYNC]: "umr_wait" },
    target: tlbTarget({ iotlbs: [mtts] }),
  });
  const pieces = powerOfTwoPieces();
  const region = new IntervalMirror(context, {
    ...(options.pages === 0 ? {} : { start: options.start, pages: options.pages }),
    flush: (start, end) => umr.issue(pieces(start, end).map((piece) => tlbiNhVa(mm.id, piece.start, piece.pages))),
  });
  return {
    attach: () => region.insert(),
    translation: chain(
      mtts.stage(() => mm.id, region),
      region,
    ),
    fault: region.strategy(),
    unbind: () => region.remove(),
    entries: () => [...region.entries(), ...mtts.entries(mm.id)],
  };
}

/** A network card whose memory regions are not pinned: on-demand paging. */
export default defineSecondaryMmu<undefined, OdpOptions>({
  name: "rdma-odp",
  sdk: 1,
  summary:
    "RDMA network card with on-demand paging: a region is an interval notifier, its cache is emptied by work requests",
  options: { start: 0, pages: 0, mttWays: 8 },
  declares: {
    pageTable: "mirror",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: true,
    reachedByBroadcast: [],
    filters: [],
    maySleep: true,
    nonBlockable: "refuses",
    granularity: "power-of-two",
    afterRelease: "faults",
  },
  create,
});
