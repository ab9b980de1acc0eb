import { expect } from "vitest";
import type { Section } from "../section.js";
import { onBench } from "../subject.js";

const HELD = ["map 0 512 rw- p anon", "writer 0 8", "dev dev0 read 0 8"];

/** What coherence costs: rule W1, commands per call are bounded. */
export const work: Section = {
  name: "work",
  tests: [
    {
      title: "one callback issues no more commands than declared",
      run: (subject) =>
        onBench(subject, [...HELD, "advise 0 1 dontneed", "advise 1 7 dontneed", "unmap 0 511"], (bench) => {
          const { maxCommandsPerCall } = bench.device.binding().declarations;
          bench.run(3);
          for (let op = 0; op < 3; op++) {
            const callbacks = bench.device.costs.of("callbacks");
            const commands = bench.device.costs.commands();
            bench.run();
            const calls = Math.max(1, bench.device.costs.of("callbacks") - callbacks);
            const spent = bench.device.costs.commands() - commands;
            if (maxCommandsPerCall !== undefined)
              expect(spent, `${calls} calls`).toBeLessThanOrEqual(calls * maxCommandsPerCall);
          }
        }),
    },
    {
      title: "an access that hits what the device holds costs no command and no fault",
      run: (subject) =>
        onBench(
          subject,
          ["map 0 1 rw- p anon", "write 0", "dev dev0 write 0", "dev dev0 write 0", "dev dev0 read 0"],
          (bench) => {
            bench.run(3);
            const before = [bench.device.costs.commands(), bench.device.costs.of("faults")];
            bench.finish();
            expect([bench.device.costs.commands(), bench.device.costs.of("faults")]).toEqual(before);
          },
        ),
    },
    {
      title: "a permitted access needs at most two faults",
      run: (subject) =>
        onBench(subject, ["map 0 2 rw- p anon", "dev dev0 read 0", "dev dev0 write 1"], (bench) => {
          bench.run();
          for (let access = 0; access < 2; access++) {
            const faults = bench.device.costs.of("faults");
            expect(bench.run().err).toBeUndefined();
            expect(bench.device.costs.of("faults") - faults).toBeLessThanOrEqual(2);
          }
        }),
    },
  ],
};
