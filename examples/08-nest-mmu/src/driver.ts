import {
  type Binding,
  type BindingContext,
  chain,
  ContextDescriptor,
  type Declarations,
  defineSecondaryMmu,
  type DeviceContext,
  type HostFacts,
  Iotlb,
  mayFilterUpgrade,
  type Path,
  phases,
  softwareFault,
  spinUntil,
  step,
} from "@mmu-notifier/sdk";

/** What can be set about the nest MMU. */
interface NestOptions {
  /** Entries of the coprocessor's own cache (its ERAT), and of the nest's. */
  readonly eratWays: number;
  readonly tlbWays: number;
}

const DECLARES: Declarations = {
  pageTable: "shared-walk",
  onMissingRight: "fault",
  resolvesFaultsInSoftware: false,
  // tlbie is a broadcast that the nest takes part in.
  reachedByBroadcast: ["inner-shareable"],
  filters: [],
};

/** The one MMU that all coprocessors of a chip share. It snoops; nobody sends it commands. */
class NestMmu {
  readonly tlb: Iotlb;
  readonly erats: Iotlb[] = [];

  constructor(context: DeviceContext<NestOptions>) {
    this.tlb = new Iotlb(context, { sets: 1, ways: context.options.tlbWays, hitPolicy: "fault-from-tlb" });
    context.dvm.join({
      tlbi: (asid, start, end, lastLevel) => {
        for (const level of this.levels) level.invalidateRange(asid, start, end, lastLevel);
      },
      drained: () => this.drained,
    });
  }

  /** Nearest memory first: a coprocessor refills its cache from the nest's. */
  get levels(): readonly Iotlb[] {
    return [this.tlb, ...this.erats];
  }

  get drained(): boolean {
    return this.levels.every((level) => level.drained);
  }
}

function create(context: BindingContext<NestMmu, NestOptions>): Binding {
  const { asids, device: nest, faults, memory, mm, notifications, options, walker } = context;
  const pid = (): number => asids.of(mm.id);
  asids.pin(mm.id);
  const erat = new Iotlb(context, { sets: 1, ways: options.eratWays, hitPolicy: "fault-from-tlb" });
  nest.erats.push(erat);
  const contexts = new ContextDescriptor(memory);
  contexts.write(pid(), 0);

  function* release(): Path {
    yield step("process element: removed", () => {
      contexts.quiesce();
      for (const level of nest.levels) level.invalidateASID(pid());
      return 0;
    });
    yield spinUntil("nest quiet", () => nest.drained);
  }
  return {
    translation: chain(erat.stage(pid, walker), nest.tlb.stage(pid, walker), contexts, walker),
    // What changes is heard as tlbie. Only the end of the address space is told by a callback.
    connection: notifications.pipe(phases("release")).subscribe((n) => n.waitUntil(release)),
    fault: softwareFault(context, faults, { table: walker, through: contexts }),
    *unbind() {
      yield* release();
      yield step("pid: put", () => {
        asids.unpin(mm.id);
        return 0;
      });
    },
    entries: () => nest.levels.flatMap((level) => level.entries(pid())),
  };
}

/** It hears no callback about upgrades, so it may only run where the host's own flush reaches it. */
function decides(host: HostFacts): { protectionUpgrade: "filter"; because: string } {
  const because = mayFilterUpgrade(DECLARES, host) ?? "there is no way to tell a nest MMU but a broadcast";
  return { protectionUpgrade: "filter", because };
}

/** The nest MMU of a POWER9-like chip: two levels of snooping caches, no commands, no re-walk on a missing right. */
export default defineSecondaryMmu<NestMmu, NestOptions>({
  name: "nest-mmu",
  sdk: 1,
  summary:
    "nest MMU of coprocessors: two levels of caches that snoop the CPUs' flushes and never walk again for a right",
  options: { eratWays: 2, tlbWays: 4 },
  declares: { ...DECLARES, filters: ["MMU_NOTIFY_PROTECTION_UPGRADE"] },
  decides,
  device: (context) => new NestMmu(context),
  create,
});
