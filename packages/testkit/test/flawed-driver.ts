import {
  chain,
  commandQueue,
  ContextDescriptor,
  type Declarations,
  defineSecondaryMmu,
  iotlb,
  isWholeMm,
  type MmuNotification,
  pageRange,
  type Path,
  phases,
  softwareFault,
  step,
  tlbiNhVa,
} from "@mmu-notifier/sdk";

/** One mistake in a driver that is right otherwise. */
export type Flaw =
  | "drops one page too few"
  | "ignores invalidations"
  | "throws in its callback"
  | "does not let go"
  | "keeps its count in the module"
  | "issues each command a hundred times";

/** State that a driver must not have: it outlives machines. */
let inTheModule = 0;

/** A device that walks the CPU's table, with one mistake, or with declarations that are not true. */
export function flawedDriver(flaw?: Flaw, declares: Partial<Declarations> = {}) {
  return defineSecondaryMmu({
    name: "flawed-npu",
    sdk: 1,
    summary: "right but for one mistake",
    declares: {
      pageTable: "shared-walk",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: false,
      reachedByBroadcast: [],
      filters: [],
      maxCommandsPerCall: 4,
      ...declares,
    },
    create(context) {
      const { faults, memory, mm, notifications, walker, costs } = context;
      const tlb = iotlb(context, { sets: 16, ways: 4, hitPolicy: "fault-from-tlb" });
      const queue = commandQueue(context, {
        target: {
          execute: ({ start, pages }) => tlb.invalidateRange(mm.id, start, start + pages),
          drained: () => tlb.drained,
        },
      });
      const tables = new ContextDescriptor(memory);
      tables.write(mm.id, 1);
      function* drop(first: number, end: number): Path {
        if (flaw === "throws in its callback") throw new TypeError("reading 'sid' of undefined");
        if (flaw === "ignores invalidations") return;
        if (flaw === "keeps its count in the module") costs.count("zaps", ++inTheModule);
        const pages = flaw === "drops one page too few" ? end - first - 1 : end - first;
        const times = flaw === "issues each command a hundred times" ? 100 : 1;
        for (let i = 0; i < times; i++) yield* queue.issue([tlbiNhVa(mm.id, first, pages)]);
      }
      function* release(): Path {
        if (flaw === "does not let go") return;
        yield step("walks off", () => {
          tables.quiesce();
          return 0;
        });
        yield* queue.issue([tlbiNhVa(mm.id, 0, Infinity)]);
      }
      function answer(n: MmuNotification): void {
        if (n.phase === "release") return n.waitUntil(release);
        const { start, end } = isWholeMm(n) ? { start: 0, end: Infinity } : pageRange(n);
        n.waitUntil(() => drop(start, end));
      }
      return {
        translation: chain(
          tlb.stage(() => mm.id, walker),
          tables,
          walker,
        ),
        fault: softwareFault(context, faults, { through: tables }),
        connection: notifications
          .pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs", "release"))
          .subscribe(answer),
        unbind: release,
        entries: () => tlb.entries(mm.id),
      };
    },
  });
}
