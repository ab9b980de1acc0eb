import {
  type Binding,
  type BindingContext,
  chain,
  defineSecondaryMmu,
  IntervalMirror,
  iotlb,
  ownRanges,
  type Path,
  spinUntil,
  step,
} from "@mmu-notifier/sdk";

/** What can be set about the GPU. */
interface GpuOptions {
  /** Ignore MMU_NOTIFY_PROTECTION_UPGRADE: a missing right is looked up again anyway. */
  readonly filter: boolean;
  readonly tlbWays: number;
}

/** What this GPU's driver can do beside what every binding can. */
export interface GpuBinding extends Binding {
  /** The mirror: `populate` for a job's pages, `exclusive` for device atomics. */
  readonly mirror: IntervalMirror;
}

/** Token of this driver in the ranges that it causes itself. */
const OWNER = 5;
const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";

function create(context: BindingContext<undefined, GpuOptions>): GpuBinding {
  const { mm, options } = context;
  const tlb = iotlb(context, { sets: 1, ways: options.tlbWays, hitPolicy: "fault-from-tlb" });
  const own = ownRanges(OWNER, "MMU_NOTIFY_EXCLUSIVE");

  function* flush(start: number, end: number): Path {
    yield step("gpu tlb: invalidate", () => tlb.invalidateRange(mm.id, start, end));
    yield spinUntil("gpu tlb: fence", () => tlb.drained);
  }

  const mirror = new IntervalMirror(context, {
    owner: OWNER,
    // Its own conversion to exclusive access must not make the round that asked for it start again.
    ignores: (range) => own(range) || (options.filter && range.event === UPGRADE),
    flush,
  });
  return {
    mirror,
    attach: () => mirror.insert(),
    translation: chain(
      tlb.stage(() => mm.id, mirror),
      mirror,
    ),
    fault: mirror.strategy(),
    unbind: () => mirror.remove(),
    entries: () => [...mirror.entries(), ...tlb.entries(mm.id)],
  };
}

/** A GPU with page tables of its own that mirror a process, as HMM's users write them. */
export default defineSecondaryMmu<undefined, GpuOptions>({
  name: "hmm-gpu",
  sdk: 1,
  summary: "GPU with its own page tables: an interval notifier, device-exclusive access, faults resolved by its driver",
  options: { filter: true, tlbWays: 4 },
  declares: (_host, { filter }) => ({
    pageTable: "mirror",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: true,
    reachedByBroadcast: [],
    filters: filter ? [UPGRADE] : [],
    maySleep: true,
    nonBlockable: "refuses",
    owner: OWNER,
  }),
  create,
});
