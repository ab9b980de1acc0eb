import { type MmuNotifierRange, MMU_NOTIFY_EVENTS } from "@mmu-notifier/sdk";
import { PAGE_SIZE } from "@mmu-notifier/core";
import { checkDefinition } from "@mmu-notifier/sdk";
import { ARENA_PAGE } from "@mmu-notifier/script";
import { expect } from "vitest";
import type { Section } from "../section.js";
import { type Bench, onBench, type Subject } from "../subject.js";

/** A process with pages of several kinds that the device has read and written. */
const WARM = ["map 0 8 rw- p anon", "writer 0 4", "dev dev0 read 0 4", "dev dev0 write 1"];

/** Ranges that a kernel gives: one page, several, a huge page, one that nobody has touched, everything. */
const RANGES: readonly (readonly [first: number, end: number])[] = [
  [0, 1],
  [1, 3],
  [0, 512],
  [600, 700],
  [-ARENA_PAGE, 2 ** 52 - ARENA_PAGE],
];

/** What every driver promises by being one. */
export const contract: Section = {
  name: "contract",
  tests: [
    {
      title: "the definition is one that a machine accepts",
      run: ({ driver }) => {
        expect(checkDefinition(driver, driver.name)).toBe(driver);
      },
    },
    {
      title: "every event in every range is served without a throw",
      run: (subject) => onBench(subject, WARM, (bench) => everyEvent(bench)),
    },
    {
      title: "start of a range that may not block never sleeps, and refuses only if that is declared",
      run: (subject) => onBench(subject, WARM, (bench) => nonBlockable(bench)),
    },
    {
      title: "two devices made alike behave alike",
      run: (subject) => {
        expect(history(subject)).toEqual(history(subject));
      },
    },
    {
      title: "a second device of the driver shares nothing with the first",
      run: (subject) =>
        onBench(subject, [...WARM, "dev dev0 read 0"], (bench) => {
          bench.run(4);
          const before = bench.device.report();
          const process = bench.machine.createProcess({ name: "other" });
          bench.machine.attach(subject.driver, { process, name: "dev1", options: subject.options });

          expect(bench.device.report()).toEqual(before);
          expect(bench.run().err).toBeUndefined();
        }),
    },
  ],
};

function everyEvent(bench: Bench): void {
  const { machine } = bench;
  const { bus } = machine.kernel;
  bench.finish();
  for (const event of MMU_NOTIFY_EVENTS) {
    // Without the patch the event does not exist; RELEASE is sent by no caller of start.
    if (event === "MMU_NOTIFY_RELEASE") continue;
    if (event === "MMU_NOTIFY_PROTECTION_UPGRADE" && machine.kernel.profile.upgradeEvent === undefined) continue;
    for (const [first, end] of RANGES) {
      const range = rangeOf(bench, event, first, end);
      machine.run(bus.invalidateRangeStart(range));
      machine.run(bus.invalidateRangeEnd(range));
      machine.run(bus.invalidateRange(range.mm, range.start, range.end));
      expect(machine.driverErrors.map(({ message }) => message)).toEqual([]);
    }
  }
  machine.run(bus.clearFlushYoung(bench.mm, ARENA_PAGE * PAGE_SIZE, (ARENA_PAGE + 8) * PAGE_SIZE));
  machine.run(bus.clearYoung(bench.mm, ARENA_PAGE * PAGE_SIZE, (ARENA_PAGE + 8) * PAGE_SIZE));
  machine.run(bus.testYoung(bench.mm, ARENA_PAGE * PAGE_SIZE));
  expect(machine.driverErrors.map(({ message }) => message)).toEqual([]);
}

function nonBlockable(bench: Bench): void {
  const { machine, device } = bench;
  const { bus } = machine.kernel;
  bench.finish();
  const refuses = device.binding().declarations.nonBlockable === "refuses";
  for (const [first, end] of RANGES) {
    const range = rangeOf(bench, "MMU_NOTIFY_CLEAR", first, end);
    const result = machine.run(bus.invalidateRangeStartNonblock(range));
    if (!refuses) expect(result, "declares.nonBlockable is not 'refuses'").toBe(0);
    if (result === 0) machine.run(bus.invalidateRangeEnd(range));
    expect(machine.driverErrors.map(({ message }) => message)).toEqual([]);
  }
}

function rangeOf(bench: Bench, event: MmuNotifierRange["event"], first: number, end: number): MmuNotifierRange {
  return { mm: bench.mm, start: (ARENA_PAGE + first) * PAGE_SIZE, end: (ARENA_PAGE + end) * PAGE_SIZE, event };
}

/** Everything that a run of a fixed script shows of a device. */
function history(subject: Subject): unknown {
  const lines = [...WARM, "fork", "write 0", "dev dev0 write 0", "protect 0 2 r--", "dev dev0 read 0 4", "unmap 2 1"];
  return onBench(subject, lines, (bench) => ({
    records: bench.finish(),
    held: bench.held(),
    report: bench.device.report(),
  }));
}
