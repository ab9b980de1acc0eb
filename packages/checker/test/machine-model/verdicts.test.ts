import { PAGE_SIZE } from "@mmu-notifier/core";
import { ARENA_PAGE, type ScriptSession } from "@mmu-notifier/script";
import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { describe, expect, test } from "vitest";
import { operation, type Scenario, type ScenarioResult } from "../../src/index.js";
import { type MirrorDriver, runMirror } from "../flawed-mirror.js";
import { type Mistake, run } from "../flawed-smmu.js";

/** Verdict and first word of the rule of everything that was found. */
const found = ({ exploration }: ScenarioResult): string[] =>
  exploration!.findings.map(({ rule, verdict }) => `${verdict} ${rule?.split(" ")[0]}`);

describe("a mistake gets the verdict that it deserves, and the driver without it none", () => {
  test.each<[string, string, Mistake]>([
    ["LOST-WRITE what", "X19", "no-sync"],
    ["LOST-WRITE what", "X4a", "deaf"],
    ["LOST-DIRTY T4:", "X20", "no-sync"],
    ["LOST-DIRTY T4:", "X21", "no-sync"],
    ["LOST-DIRTY T4:", "X27", "deaf"],
    ["ORDER who", "X28", "deaf"],
    ["ISOLATION no", "X29", "one-asid"],
    ["ISOLATION no", "X29a", "keeps-asid"],
    ["MISSED-RANGE T7:", "X9", "ignores-release"],
    ["STALE-USE T7:", "X9", "ignores-release"],
    ["COST W1:", "X13", "chatty"],
  ])("%s in %s: %s", (verdict, id, mistake) => {
    expect(found(run(id, "v6.12", mistake))).toContain(verdict);
    expect(found(run(id, "v6.12"))).toEqual([]);
  });

  test("UAF T10: in X25+walk-cache: leaf-only", () => {
    expect(found(run("X25+walk-cache", "v6.12", "leaf-only"))).toContain("UAF T10:");
  });

  test.each<[string, string, MirrorDriver, MirrorDriver]>([
    ["BBM an", "X4b", "mirror-without-flush", "mirror"],
    ["CONTRACT I2:", "X7", "shadow-without-retry", "mirror"],
    ["CONTRACT V1:", "X5", "off-by-one", "mirror"],
    ["IMBALANCE I1:", "X8", "refuses", "mirror"],
  ])("%s in %s: %s", (verdict, id, flawed, right) => {
    expect(found(runMirror(id, flawed))).toContain(verdict);
    expect(found(runMirror(id, right))).toEqual([]);
  });
});

/** A path of the kernel, as a thread beside a device that has page 0 cached. */
function withPath(text: string, path: (session: ScriptSession) => Path<unknown>): Scenario {
  return {
    id: "path",
    title: text,
    script: "map 0 2 rw- p anon\nwrite 0 2\ndev dev0 write 0\nthread device {\ndev dev0 read 0\n}\n",
    threads: (session) => [{ name: "cpu", operations: [operation(text, () => path(session))] }],
  };
}

const RANGE = { start: ARENA_PAGE * PAGE_SIZE, end: (ARENA_PAGE + 1) * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;

/** The entry of page 0 becomes what `to` makes of that of page 1, under the lock of its table. */
function* rewrites({ machine, mm }: ScriptSession, to: (other: number) => number): Path {
  const { mms, tables } = machine.kernel;
  const ptep = yield step("pte_offset_map", () => tables.leaf(mms.pgd(mm), ARENA_PAGE));
  const lock = tables.ptl(tables.tableOf(ptep));
  yield spinLock(lock);
  yield step("set_pte", () => {
    tables.set(ptep, to(tables.get(tables.leaf(mms.pgd(mm), ARENA_PAGE + 1))));
    return 0;
  });
  yield spinUnlock(lock);
}

describe("a path of the kernel that breaks a rule is caught with a driver that does not", () => {
  test.each<[string, string, (session: ScriptSession) => Path<unknown>]>([
    [
      "BBM an",
      "an entry is replaced by another without being none",
      function* (session) {
        const { bus } = session.machine.kernel;
        yield* bus.invalidateRangeStart({ mm: session.mm, ...RANGE });
        yield* rewrites(session, (other) => other);
        yield* bus.invalidateRangeEnd({ mm: session.mm, ...RANGE });
      },
    ],
    ["MISSED-RANGE I7:", "an entry is cleared and nobody is told", (session) => rewrites(session, () => 0)],
    [
      "IMBALANCE I1:",
      "a start has no end",
      ({ machine, mm }) => machine.kernel.bus.invalidateRangeStart({ mm, ...RANGE }),
    ],
    [
      "IMBALANCE I1:",
      "an end has no start",
      ({ machine, mm }) => machine.kernel.bus.invalidateRangeEnd({ mm, ...RANGE }),
    ],
  ])("%s: %s", (verdict, text, path) => {
    expect(found(run(withPath(text, path), "v6.12"))).toContain(verdict);
  });

  test("start and end around nothing are in order", () => {
    const path = function* ({ machine, mm }: ScriptSession): Path {
      yield* machine.kernel.bus.invalidateRangeStart({ mm, ...RANGE });
      yield* machine.kernel.bus.invalidateRangeEnd({ mm, ...RANGE });
    };
    expect(found(run(withPath("a call that promises more than it does", path), "v6.12"))).toEqual([]);
  });
});
