import {
  answering,
  Atc,
  atcInv,
  type Binding,
  type BindingContext,
  CERROR_ATC_INV_SYNC,
  chain,
  commandQueue,
  type CommandQueue,
  ContextDescriptor,
  defineSecondaryMmu,
  type DeviceContext,
  flushes,
  type HitPolicy,
  type Iotlb,
  iotlb,
  onMissingRight,
  OPCODES,
  PageRequestQueue,
  type PageSpan,
  type Path,
  powerOfTwoSpan,
  step,
  tlbiNhAsid,
  tlbiNhVa,
  tlbTarget,
} from "@mmu-notifier/sdk";

/** What can be set about the IOMMU and its device. */
interface VtdOptions {
  /** What the IOTLB does with an entry that lacks a right. Linux on x86 rests on `rewalk-on-permission-fault`: it flushes nothing on upgrades. */
  readonly hitPolicy: HitPolicy;
  /** The same question to the device's own cache. */
  readonly deviceTlbPolicy: HitPolicy;
}

/** One IOMMU: its cache, its invalidation queue, and the caches of the devices behind it. */
class Vtd {
  readonly iotlb: Iotlb;
  readonly deviceTlbs: Atc[] = [];
  readonly queue: CommandQueue;

  constructor(context: DeviceContext<VtdOptions>) {
    this.iotlb = iotlb(context, { sets: 1, ways: 8, hitPolicy: context.options.hitPolicy });
    this.queue = commandQueue(context, {
      depth: 256,
      batch: 16,
      names: {
        [OPCODES.CMD_TLBI_NH_VA]: "piotlb_inv",
        [OPCODES.CMD_TLBI_NH_ASID]: "piotlb_inv_pasid",
        [OPCODES.CMD_ATC_INV]: "dev_iotlb_inv",
        [OPCODES.CMD_SYNC]: "inv_wait",
      },
      target: tlbTarget({ iotlbs: [this.iotlb], atcs: this.deviceTlbs, timedOut: () => this.queue.atcTimedOut() }),
    });
  }
}

function create(context: BindingContext<Vtd, VtdOptions>): Binding {
  const { device: vtd, faults, memory, mm, notifications, options, walker } = context;
  const pasid = mm.id;
  const entry = new ContextDescriptor(memory);
  entry.write(pasid, 1);
  const deviceTlb = new Atc(context, { sid: 0, ssid: pasid, sets: 1, ways: 4, hitPolicy: options.deviceTlbPolicy });
  vtd.deviceTlbs.push(deviceTlb);
  const prq = new PageRequestQueue(context, { depth: 16, faults, table: walker });
  const strategy = powerOfTwoSpan();

  function* invalidate(start: number, end: number): Path {
    const pieces = strategy(start, end);
    const tlbi = ({ start, pages }: PageSpan) =>
      pages === Infinity ? tlbiNhAsid(pasid) : tlbiNhVa(pasid, start, pages);
    yield* vtd.queue.issue(pieces.map(tlbi));
    // The device may fill its cache from the IOTLB: that one first, and certainly done.
    yield* emptyDeviceTlb(pieces);
  }
  function* emptyDeviceTlb(pieces: readonly PageSpan[]): Path {
    const off = yield step("ats_enabled", () => (deviceTlb.forbidden ? 1 : 0));
    if (off !== 0) return;
    const error = yield* vtd.queue.issue(pieces.map(({ start, pages }) => atcInv(0, pasid, start, pages)));
    if (error !== CERROR_ATC_INV_SYNC) return;
    // The device did not answer (ITE). What it has cached must be out of use all the same when the kernel gives the frames away.
    yield step("ats: off", () => {
      deviceTlb.forbid();
      prq.setEnabled(false);
      return 0;
    });
    yield* vtd.queue.sync();
  }
  function* release(): Path {
    yield step("pasid entry: torn down", () => {
      entry.quiesce();
      prq.setEnabled(false);
      prq.discard();
      return 0;
    });
    yield* invalidate(0, Infinity);
  }
  return {
    translation: chain(
      deviceTlb,
      vtd.iotlb.stage(() => pasid, walker),
      entry,
      walker,
    ),
    connection: notifications.pipe(flushes()).subscribe(answering({ invalidate, release })),
    fault: prq.strategy(),
    unbind: release,
    entries: () => [...deviceTlb.entries(), ...vtd.iotlb.entries(pasid)],
  };
}

/** Shared virtual addressing behind an Intel-style IOMMU, for a device that asks for its pages. */
export default defineSecondaryMmu<Vtd, VtdOptions>({
  name: "vtd-sva",
  sdk: 1,
  summary: "VT-d-like IOMMU, shared CPU page tables with A/D bits, a device with ATS and PRI",
  options: { hitPolicy: "rewalk-on-permission-fault", deviceTlbPolicy: "rewalk-on-permission-fault" },
  declares: (_host, { hitPolicy, deviceTlbPolicy }) => ({
    pageTable: "shared-walk",
    onMissingRight: onMissingRight({ ats: true, hitPolicy, atcHitPolicy: deviceTlbPolicy }),
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
    ats: true,
    pri: true,
    ha: true,
    hd: true,
    granularity: "power-of-two",
  }),
  device: (context) => new Vtd(context),
  create,
});
