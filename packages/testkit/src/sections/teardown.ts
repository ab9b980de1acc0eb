import { ARENA_PAGE } from "@mmu-notifier/script";
import { expect } from "vitest";
import type { Section } from "../section.js";
import { type Bench, onBench } from "../subject.js";

const HELD = ["map 0 4 rw- p anon", "writer 0 4", "dev dev0 read 0 2", "dev dev0 write 1"];

/** How a driver lets go. */
export const teardown: Section = {
  name: "teardown",
  tests: [
    {
      title: "after unbind nothing is held and no access completes; a second unbind is harmless",
      run: (subject) =>
        onBench(subject, HELD, (bench) => {
          bench.finish();
          const bound = bench.device.binding();
          bench.machine.run(bound.binding.unbind(), "unbind");
          expect(bench.held()).toEqual([]);
          noAccess(bench);
          bench.machine.run(bound.binding.unbind(), "unbind again");
          expect(bench.held()).toEqual([]);
        }),
    },
    {
      title: "a process that exits under the device leaves nothing behind",
      run: (subject) =>
        onBench(subject, [...HELD, "exit"], (bench) => {
          bench.finish();
          expect(bench.held()).toEqual([]);
          noAccess(bench);
          bench.machine.run(bench.device.binding().binding.unbind(), "unbind after release");
          expect(bench.machine.driverErrors.map(({ message }) => message)).toEqual([]);
        }),
    },
    {
      title: "after unbind the process goes on without it",
      run: (subject) =>
        onBench(subject, [...HELD, "write 0", "unmap 0 2", "read 2"], (bench) => {
          bench.run(4);
          bench.machine.run(bench.device.unbind(bench.session.process), "unbind");
          const commands = bench.device.costs.commands();
          const records = bench.finish();
          expect(records.slice(-3).map(({ err, sig }) => err ?? sig)).toEqual([undefined, undefined, undefined]);
          expect(bench.device.costs.commands(), "commands after unbind").toBe(commands);
        }),
    },
    {
      title: "it can be bound again",
      run: (subject) =>
        onBench(subject, [...HELD, "dev dev0 read 0", "advise 0 1 dontneed", "dev dev0 read 0"], (bench) => {
          bench.run(4);
          bench.machine.run(bench.device.unbind(bench.session.process), "unbind");
          bench.device.bind(bench.session.process);
          const records = bench.finish();
          expect(records.at(-3)!.err).toBeUndefined();
          // A pinned page stays the device's, whatever the process does.
          if (bench.device.binding().declarations.pageTable !== "pinned")
            expect(records.at(-1)!.val, "what it read was dropped").toBe(0);
        }),
    },
  ],
};

/** An access of page 1, which the device held before, ends without a value. */
function noAccess(bench: Bench): void {
  const before = bench.device.costs.of("accesses");
  const { outcome } = bench.device.access(ARENA_PAGE + 1, "read");
  expect(outcome.kind).not.toBe("value");
  expect(bench.device.costs.of("accesses")).toBe(before);
}
