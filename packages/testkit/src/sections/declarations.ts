import { checkDeclaration, hostFacts, type MmuNotifyEvent, PAGE_SIZE } from "@mmu-notifier/sdk";
import { ARENA_PAGE } from "@mmu-notifier/script";
import { expect } from "vitest";
import type { Section } from "../section.js";
import { type Bench, onBench, type Subject } from "../subject.js";
import { staleEntries } from "../truth.js";

/** Ways in which a kernel takes a page or a right away, by the event that it gives as the reason. */
const TAKERS: Readonly<Partial<Record<MmuNotifyEvent, readonly (readonly string[])[]>>> = {
  MMU_NOTIFY_UNMAP: [["unmap 0 2"], ["remap 0 2 2 maymove fixed 16"]],
  MMU_NOTIFY_CLEAR: [["advise 0 2 dontneed"]],
  MMU_NOTIFY_PROTECTION_VMA: [["protect 0 2 r--"], ["protect 0 2 ---"]],
  MMU_NOTIFY_PROTECTION_PAGE: [["fork"]],
  MMU_NOTIFY_SOFT_DIRTY: [["clearrefs 4"]],
};
const HELD = ["map 0 4 rw- p anon", "writer 0 4", "dev dev0 write 0 4"];

/** What a driver says of itself, held against what it does. */
export const declarations: Section = {
  name: "declarations",
  tests: [
    {
      title: "the declarations do not contradict each other, the decision or the host",
      run: (subject) =>
        onBench(subject, HELD, ({ machine, device }) => {
          const host = hostFacts(machine.kernel);
          const { decision } = device.binding();
          const findings = checkDeclaration(device.definition as never, host, device.options as never, decision);
          expect(findings.map(({ event, message }) => `${event}: ${message}`)).toEqual([]);
        }),
    },
    ...Object.entries(TAKERS).map(([event, ways]) => ({
      title: `after ${event} the device holds nothing that was taken away`,
      run: (subject: Subject) => {
        for (const way of ways) onBench(subject, [...HELD, ...way], nothingStale);
      },
    })),
    {
      title: "a page on either side of what was taken away still works",
      run: (subject) =>
        onBench(subject, [...HELD, "advise 1 2 dontneed", "dev dev0 read 0", "dev dev0 read 3"], (bench) => {
          const records = bench.finish();
          expect(records.slice(-2).map(({ err }) => err)).toEqual([undefined, undefined]);
          expect(records.at(-1)!.val).toBe(records.at(-2)!.val);
        }),
    },
    {
      title: "granularity is what an invalidation drops",
      run: (subject) => {
        for (const [first, end] of TAKEN) {
          const lines = [
            "map 0 8 rw- p anon",
            "writer 0 8",
            "dev dev0 read 0 8",
            `advise ${first} ${end - first} dontneed`,
          ];
          onBench(subject, lines, (bench) => onlyThePages(bench, first, end));
        }
      },
    },
    {
      title: "what it says of MMU_NOTIFY_PROTECTION_UPGRADE is what it does",
      beside: withoutUpgradeEvent,
      run: (subject) => onBench(subject, [...HELD, "fork", "dev dev0 read 0"], upgradeAsDecided),
    },
    {
      title: "an event that it filters costs nothing",
      beside: withoutUpgradeEvent,
      run: (subject) => onBench(subject, HELD, filteredForNothing),
    },
    {
      title: "onMissingRight is what the caches do",
      run: (subject) => onBench(subject, ["map 0 1 rw- s mem", "dev dev0 read 0", "dev dev0 write 0"], missingRight),
    },
    {
      title: "agesPages is whether an access makes a page young",
      run: (subject) => onBench(subject, [...HELD, "dev dev0 read 0"], ages),
    },
    {
      title: "aging is about the pages that were asked for, and test_young changes nothing",
      run: (subject) => onBench(subject, HELD, agesPageByPage),
    },
  ],
};

/** Pages that are taken away: one, and several that are no power of two. */
const TAKEN = [
  [3, 4],
  [2, 5],
] as const;

/** What lies outside the pages that were taken away, widened to the granularity, is still there. */
function onlyThePages(bench: Bench, first: number, end: number): void {
  bench.run(3);
  const { device, session } = bench;
  const { granularity = "page", pageTable } = device.binding().declarations;
  if (granularity === "whole") return;
  let [from, to] = [ARENA_PAGE + first, ARENA_PAGE + end];
  if (granularity === "power-of-two")
    for (let size = 1; to - from > size;) {
      size *= 2;
      [from, to] = [Math.floor(from / size) * size, Math.ceil(to / size) * size];
    }
  // What hardware caches of a driver's own table is no translation of the CPU's: it may all go.
  const own = pageTable === "mirror" ? ["spte", "mirror"] : ["iotlb", "atc"];
  const outside = (): readonly string[] =>
    device
      .entries(session.process)
      .filter(({ where, vpn, pages }) => own.includes(where) && (vpn >= to || vpn + pages <= from))
      .map(({ where, vpn, pages, write }) => `${where} ${vpn - ARENA_PAGE}+${pages}${write ? "w" : "r"}`);
  const before = outside();
  bench.finish();
  expect(outside(), `declares.granularity is '${granularity}'`).toEqual(before);
}

function nothingStale(bench: Bench): void {
  bench.run(2);
  expect(bench.run().err, "the device may write what the process may write").toBeUndefined();
  bench.finish();
  expect(staleEntries(bench)).toEqual([]);
  expect(bench.machine.driverErrors.map(({ message }) => message)).toEqual([]);
}

function withoutUpgradeEvent({ kernel }: Subject): string | undefined {
  return kernel.includes("upgrade-event") ? undefined : "the kernel has no such event";
}

/** Tells everybody about an upgrade of page 0; what the device still holds of it. */
function tellUpgrade(bench: Bench): void {
  const { machine, mm } = bench;
  const range = {
    mm,
    start: ARENA_PAGE * PAGE_SIZE,
    end: (ARENA_PAGE + 1) * PAGE_SIZE,
    event: "MMU_NOTIFY_PROTECTION_UPGRADE" as const,
  };
  machine.run(machine.kernel.bus.invalidateRangeStart(range));
  machine.run(machine.kernel.bus.invalidateRangeEnd(range));
  machine.settle();
}

function upgradeAsDecided(bench: Bench): void {
  bench.finish();
  const before = bench.held();
  const { protectionUpgrade, because } = bench.device.decision();
  tellUpgrade(bench);
  if (protectionUpgrade === "filter") expect(bench.held(), `it filters: "${because}"`).toEqual(before);
  else expect(readOnlyUnreached(bench), `it does not filter: "${because}"`).toEqual([]);
  expect(staleEntries(bench)).toEqual([]);
}

/** Caches that hold page 0 read-only and that no flush of the host reaches on an upgrade. */
function readOnlyUnreached(bench: Bench): readonly string[] {
  const { device, machine, session } = bench;
  const { pageTable, reachedByBroadcast } = device.binding().declarations;
  // A table of the driver's own is not a cache of the CPU's: a fault brings it up to date.
  if (pageTable !== "shared-walk") return [];
  const reached = reachedByBroadcast.includes(hostFacts(machine.kernel).broadcast("upgrade"));
  return device
    .entries(session.process)
    .filter(({ vpn, pages, write }) => !write && vpn <= ARENA_PAGE && ARENA_PAGE < vpn + pages)
    .filter(({ where }) => where === "atc" || !reached)
    .map(({ where }) => where);
}

function filteredForNothing(bench: Bench): void {
  bench.finish();
  if (bench.device.decision().protectionUpgrade !== "filter") return;
  const before = { held: bench.held(), report: bench.device.report() };
  tellUpgrade(bench);
  expect({ held: bench.held(), report: bench.device.report() }).toEqual(before);
}

/** A read-only translation is cached, then the entry becomes writable behind the device's back. */
function missingRight(bench: Bench): void {
  bench.run(2);
  const { machine, mm, device } = bench;
  const { declarations: declared } = device.binding();
  if (declared.pageTable !== "shared-walk" || !bench.holds(0) || bench.holds(0, "write")) return;
  const { mms, pte, tables } = machine.kernel;
  const ptep = tables.leaf(mms.pgd(mm), ARENA_PAGE);
  tables.set(ptep, pte.mkdirty(pte.mkwrite(tables.get(ptep))));
  const before = device.costs.of("faults");
  bench.finish();
  const faults = device.costs.of("faults") - before;
  if (declared.onMissingRight === "re-walk") expect(faults, "declares.onMissingRight is 're-walk'").toBe(0);
  if (declared.onMissingRight === "fault") expect(faults, "declares.onMissingRight is 'fault'").toBeGreaterThan(0);
}

function ages(bench: Bench): void {
  bench.run(3);
  const { machine, mm, device } = bench;
  const { bus } = machine.kernel;
  const start = ARENA_PAGE * PAGE_SIZE;
  const young = (): number => machine.run(bus.clearFlushYoung(mm, start, start + PAGE_SIZE));
  young();
  bench.finish();
  const declared = device.binding().declarations.agesPages === true;
  expect(young(), declared ? "declares.agesPages" : "does not declare agesPages").toBe(declared ? 1 : 0);
  expect(young(), "nobody accessed the page since").toBe(0);
}

/** Four pages that the device has just written. */
function agesPageByPage(bench: Bench): void {
  bench.finish();
  const { machine, mm, device } = bench;
  const { bus } = machine.kernel;
  const at = (page: number): number => (ARENA_PAGE + page) * PAGE_SIZE;
  const young = (): readonly number[] => [0, 1, 2, 3].map((page) => machine.run(bus.testYoung(mm, at(page))));
  const are = device.binding().declarations.agesPages === true ? 1 : 0;
  const now: number[] = [are, are, are, are];
  const cleared = (result: number, first: number, end: number): void => {
    expect(result, `pages ${first} to ${end - 1} were young`).toBe(are);
    now.fill(0, first, end);
    expect(young(), `after pages ${first} to ${end - 1} were made old`).toEqual(now);
  };
  expect(young()).toEqual(now);
  expect(young(), "asked again").toEqual(now);
  // A neighbour that is asked for as well must not hide behind another that is young.
  cleared(machine.run(bus.clearYoung(mm, at(3), at(4))), 3, 4);
  cleared(machine.run(bus.clearFlushYoung(mm, at(1), at(2))), 1, 2);
  cleared(machine.run(bus.clearYoung(mm, at(0), at(4))), 0, 4);
}
