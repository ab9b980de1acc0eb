import { PluginRegistry } from "@mmu-notifier/machine";
import { parseScripts } from "@mmu-notifier/script";
import {
  defineSecondaryMmu,
  SmmuV3,
  SMMU_V3_DEFAULTS,
  type SmmuV3Options,
  SvaDomain,
  phases,
  pageRange,
} from "@mmu-notifier/sdk";
import { expect, test } from "vitest";
import { counterexampleOf, explore, replay, scriptModel } from "../../src/index.js";

/** An SMMU whose driver answers every call of the hook; with `forgets` it does not. */
const npu = defineSecondaryMmu<SmmuV3, SmmuV3Options & { forgets: boolean; throws: boolean }>({
  name: "npu",
  sdk: 1,
  summary: "shares the CPU's tables and hears of changes through the hook",
  options: { ...SMMU_V3_DEFAULTS, forgets: false, throws: false },
  declares: {
    pageTable: "shared-walk",
    onMissingRight: "either",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
  },
  device: (context) => new SmmuV3(context),
  create(context) {
    const { device, options, notifications } = context;
    const domain = new SvaDomain(context, device, device.asids.alloc(), 1);
    return {
      translation: domain.translation(),
      connection: notifications
        .pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs", "release"))
        .subscribe((notification) => {
          if (options.throws) throw new Error("out of cheese");
          if (options.forgets || notification.phase === "release") return;
          const { start, end } = pageRange(notification);
          notification.waitUntil(() => domain.invalidateTlb(start, end));
        }),
      fault: domain.faultStrategy(),
      unbind: () => domain.release(),
      entries: () => domain.entries(),
    };
  },
});

const registry = PluginRegistry.withCore().add(npu, "test");

function modelOf(text: string, kernel: string) {
  const [script] = parseScripts(text, { file: "test.mm" });
  return scriptModel(script!, { registry, kernel, arch: "arm64" });
}

const UPGRADE = `
device npu0 driver npu
== upgrade arena 4
map 0 1 rw- p anon
write 0
fork
reap 0
dev npu0 read 0
thread cpu {
write 0
}
thread dev {
dev npu0 write 0
}
`;

test("a device that is not told of an upgrade faults for ever, and the counterexample runs again", () => {
  const { model, prelude } = modelOf(UPGRADE, "v6.4");
  expect(prelude.map(({ op }) => op)).toHaveLength(5);
  const { findings, complete } = explore(model, { liveness: "task" });
  expect(complete).toBe(true);
  expect(findings.map(({ verdict, about }) => [verdict, about])).toEqual([["LIVELOCK", "dev"]]);
  const example = counterexampleOf(model, findings[0]!);
  expect(example.cycleFrom).toBeGreaterThan(1);
  expect(example.steps.some(({ functions }) => functions.includes("wp_page_reuse"))).toBe(true);
  expect(replay(model, example.replay)).toEqual(example);
});

test("a kernel whose TLB flush tells devices lets every order end", () => {
  const { model } = modelOf(UPGRADE, "v6.12");
  const { findings, complete, states } = explore(model, { liveness: "task" });
  expect(complete).toBe(true);
  expect(states).toBeGreaterThan(100);
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
});

test("ops after the thread blocks wait for all of them", () => {
  const { model } = modelOf(`${UPGRADE}read 0\n`, "v6.12");
  expect(model.tasks.map(({ name }) => name)).toEqual(["cpu", "dev", "afterwards"]);
  const { findings } = explore(model, { liveness: "task" });
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
});

test("what a driver throws is a finding that names it, before the threads begin and in them", () => {
  const throwing = UPGRADE.replace("driver npu", "driver npu throws");
  const [problem] = modelOf(throwing, "v6.12").problems;
  expect(problem).toMatchObject({ verdict: "ERROR", about: "npu" });
  const { model, problems } = modelOf(
    throwing.replace("fork\nreap 0\n", "").replace("thread cpu {", "thread cpu {\nfork"),
    "v6.12",
  );
  expect(problems).toEqual([]);
  const [finding] = explore(model).findings;
  expect(finding).toMatchObject({ verdict: "ERROR" });
  expect(finding!.what).toMatch(/driver npu \(test\), device npu0, threw during .*: out of cheese/);
});

test("a driver that forgets to invalidate: the cache is held against the page table at every step", () => {
  const forgetful = `
device npu0 driver npu forgets
== forgetful arena 4
map 0 2 rw- p anon
write 0 2
dev npu0 write 0
thread cpu {
unmap 0 1
}
thread dev {
dev npu0 write 0
}
`;
  const { model } = modelOf(forgetful, "v6.12");
  const [finding] = explore(model).findings;
  expect(finding).toMatchObject({ verdict: "STALE-USE", about: "page 0" });
  expect(finding!.rule).toMatch(/^T1: /);
  const { steps, view } = counterexampleOf(model, finding!);
  expect(view).toEqual([
    "page 0: page table frame 2 rw",
    "    npu0's IOTLB: frame 2 rw",
    "page 1: page table frame 3 rw",
  ]);
  expect(steps.at(-1)!.view).toEqual([
    "page 0: page table nothing",
    "    npu0's IOTLB: frame 2 rw  <- another frame",
    "page 1: page table frame 3 rw",
  ]);
});

test("a right that is taken away must be gone from every cache when the call returns", () => {
  const { model } = modelOf(
    `
device npu0 driver npu forgets
== downgrade arena 4
map 0 1 rw- p anon
dev npu0 write 0
thread cpu {
protect 0 1 r--
}
thread dev {
dev npu0 write 0
}
`,
    "v6.12",
  );
  const verdicts = explore(model).findings.map(({ verdict, about }) => [verdict, about]);
  expect(verdicts).toContainEqual(["MISSED-RANGE", "page 0"]);
  expect(verdicts).toContainEqual(["STALE-PERM", "page 0"]);
});

test("a CPU and a device may bring the same page in from swap at once", () => {
  const { model } = modelOf(
    `
device npu0 driver npu
== swapped arena 4
map 0 1 rw- p anon
write 0
advise 0 1 pageout
thread A {
write 0
}
thread B {
dev npu0 read 0
}
`,
    "v6.12",
  );
  const { findings, complete } = explore(model);
  expect({ findings, complete }).toEqual({ findings: [], complete: true });
});
