import { PluginRegistry } from "@mmu-notifier/machine";
import {
  type BindingContext,
  chain,
  defineSecondaryMmu,
  FAULT_ABORT,
  IntervalMirror,
  iotlb,
  PAGE_SIZE,
  type Path,
  phases,
  type SecondaryMmuDefinition,
  spinUntil,
  step,
} from "@mmu-notifier/sdk";
import { checkScenario, type ScenarioResult, scenarios, shadowMmu } from "../src/index.js";

const DECLARES = {
  pageTable: "mirror",
  onMissingRight: "fault",
  resolvesFaultsInSoftware: true,
  reachedByBroadcast: [],
  filters: [],
} as const;

/** A mirror with a TLB above it, which it empties or does not. */
function gpu(name: string, empties: boolean): SecondaryMmuDefinition {
  return defineSecondaryMmu({
    name,
    sdk: 1,
    summary: "an interval notifier, and a TLB above the mirror",
    declares: DECLARES,
    create(context) {
      const tlb = iotlb(context, { sets: 1, ways: 4, hitPolicy: "fault-from-tlb" });
      function* flush(start: number, end: number): Path {
        yield step("tlb: invalidate", () => tlb.invalidateRange(context.mm.id, start, end));
        yield spinUntil("tlb: fence", () => tlb.drained);
      }
      const mirror = new IntervalMirror(context, empties ? { flush } : {});
      return {
        attach: () => mirror.insert(),
        translation: chain(
          tlb.stage(() => context.mm.id, mirror),
          mirror,
        ),
        fault: mirror.strategy(),
        unbind: () => mirror.remove(),
        entries: () => [...mirror.entries(), ...tlb.entries(context.mm.id)],
      };
    },
  });
}

/** An interval notifier whose callback writes another sequence than it was given. */
const offByOne = defineSecondaryMmu({
  name: "off-by-one",
  sdk: 1,
  summary: "an interval notifier without a device",
  declares: DECLARES,
  create({ geometry, intervals }: BindingContext<unknown, unknown>) {
    const interval = intervals.create({
      name: "off-by-one",
      *invalidate(which, _range, curSeq) {
        yield* intervals.setSeq(which, curSeq + 1);
        return true;
      },
    });
    return {
      attach: () => intervals.insert(interval, (geometry.first ?? 0) * PAGE_SIZE, 64 * PAGE_SIZE),
      translation: {
        *translate() {
          return yield step("nothing is mapped", () => -0x10);
        },
      },
      fault: {
        name: "abort",
        *handle() {
          return FAULT_ABORT;
        },
      },
      unbind: () => intervals.remove(interval),
      entries: () => [],
    };
  },
});

/** A mirror, and beside it a place on the list whose start refuses what it may not sleep for: the kernel then forgets the mirror's count. */
const refuses = defineSecondaryMmu({
  name: "refuses",
  sdk: 1,
  summary: "an interval notifier and a subscription that refuses",
  declares: { ...DECLARES, nonBlockable: "refuses" },
  create(context) {
    const mirror = new IntervalMirror(context);
    return {
      attach: () => mirror.insert(),
      connection: context.notifications.pipe(phases("start")).subscribe((notification) => {
        if (!notification.blockable) notification.refuse();
      }),
      translation: mirror,
      fault: mirror.strategy(),
      unbind: () => mirror.remove(),
      entries: () => mirror.entries(),
    };
  },
});

const DRIVERS = {
  mirror: gpu("mirror", true),
  "mirror-without-flush": gpu("mirror-without-flush", false),
  "shadow-without-retry": shadowMmu({ retryCheck: false }),
  "off-by-one": offByOne,
  refuses,
} as const;

/** Name of a driver with a table of its own. */
export type MirrorDriver = keyof typeof DRIVERS;

/** Puts it through a scenario on v6.12, arm64. */
export function runMirror(id: string, name: MirrorDriver): ScenarioResult {
  const driver = DRIVERS[name];
  const registry = PluginRegistry.withCore().add(driver, "test");
  const scenario = scenarios.find((candidate) => candidate.id === id)!;
  return checkScenario(scenario, { driver: driver.name, registry, kernel: "v6.12", arch: "arm64" });
}
