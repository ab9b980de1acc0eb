import {
  answering,
  type Binding,
  type BindingContext,
  chain,
  commandQueue,
  type CommandQueue,
  ContextDescriptor,
  type Declarations,
  defineSecondaryMmu,
  type DeviceContext,
  flushes,
  type Iotlb,
  iotlb,
  MMU_NOTIFY_EVENTS,
  type Path,
  PinnedPages,
  softwareFault,
  step,
  tlbiNhAsid,
  tlbiNhVa,
  tlbTarget,
  type Words,
} from "@mmu-notifier/sdk";

/** What can be set about the accelerator. */
interface TwoBindingsOptions {
  /** Address spaces whose page tables the hardware can walk at a time. Bindings beyond that pin their pages. */
  readonly contexts: number;
}

const WALKS: Declarations = {
  pageTable: "shared-walk",
  onMissingRight: "fault",
  resolvesFaultsInSoftware: false,
  reachedByBroadcast: [],
  filters: [],
};
const PINS: Declarations = {
  pageTable: "pinned",
  onMissingRight: "fault",
  resolvesFaultsInSoftware: true,
  reachedByBroadcast: [],
  filters: MMU_NOTIFY_EVENTS.filter((event) => event !== "MMU_NOTIFY_UNMAP" && event !== "MMU_NOTIFY_RELEASE"),
  maySleep: true,
  nonBlockable: "refuses",
};

class Accelerator {
  readonly tlb: Iotlb;
  readonly queue: CommandQueue;
  readonly contextsInUse: Words;

  constructor(context: DeviceContext<TwoBindingsOptions>) {
    this.tlb = iotlb(context, { sets: 1, ways: 4, hitPolicy: "fault-from-tlb" });
    this.queue = commandQueue(context, { target: tlbTarget({ iotlbs: [this.tlb] }) });
    this.contextsInUse = context.memory.words("contexts", 2);
  }
}

type Context = BindingContext<Accelerator, TwoBindingsOptions>;

/** The hardware walks the process's page table: it must hear of every change, upgrades included. */
function walks(context: Context): Binding {
  const { device, faults, memory, mm, notifications, walker } = context;
  const tables = new ContextDescriptor(memory);
  tables.write(mm.id, 1);
  function* release(): Path {
    yield step("context: off", () => {
      tables.quiesce();
      return 0;
    });
    yield* device.queue.issue([tlbiNhAsid(mm.id)]);
  }
  const invalidate = (start: number, end: number): Path<number> =>
    device.queue.issue([end === Infinity ? tlbiNhAsid(mm.id) : tlbiNhVa(mm.id, start, end - start)]);
  return {
    declares: WALKS,
    translation: chain(
      device.tlb.stage(() => mm.id, walker),
      tables,
      walker,
    ),
    connection: notifications.pipe(flushes()).subscribe(answering({ invalidate, release })),
    fault: softwareFault(context, faults, { table: walker, through: tables }),
    unbind: release,
    entries: () => device.tlb.entries(mm.id),
  };
}

/** The driver pins what the device uses: nothing but an unmap is of interest. */
function pins(context: Context): Binding {
  const pages = new PinnedPages(context);
  return {
    declares: PINS,
    decision: {
      protectionUpgrade: "filter",
      because: "the page is pinned, and a missing right pins it again with that right",
    },
    attach: () => pages.insert(),
    translation: chain(pages),
    fault: pages.strategy(),
    unbind: () => pages.remove(),
    entries: () => pages.entries(),
  };
}

/** An accelerator that walks the page tables of as many processes as it has contexts for; for others its driver pins pages. */
export default defineSecondaryMmu<Accelerator, TwoBindingsOptions>({
  name: "two-bindings",
  sdk: 1,
  summary: "accelerator with few contexts for page-table walks; further processes are served from pinned pages",
  options: { contexts: 1 },
  declares: (_host, { contexts }) => (contexts > 0 ? WALKS : PINS),
  device: (context) => new Accelerator(context),
  create: (context) => {
    const { device, options } = context;
    return device.contextsInUse.add(0, 1) <= options.contexts ? walks(context) : pins(context);
  },
});
