import fc from "fast-check";
import { hostFacts, mayFilterUpgrade } from "@mmu-notifier/sdk";
import type { Section } from "../section.js";
import { type Bench, onBench, type Subject } from "../subject.js";
import { staleEntries } from "../truth.js";

/** Pages that random ops are about. */
const PAGES = 8;
/** Seed of the random scripts: a run finds what the last one found. */
const SEED = 6;

const page = fc.nat(PAGES - 1);
const span = fc
  .tuple(page, fc.integer({ min: 1, max: 4 }))
  .map(([start, pages]) => `${start} ${Math.min(pages, PAGES - start)}`);
const rights = fc.constantFrom("rw-", "r--", "---");

/** One op; the script reaps what it forks. */
const op = fc.oneof(
  { weight: 4, arbitrary: page.map((at) => `dev dev0 read ${at}`) },
  { weight: 5, arbitrary: page.map((at) => `dev dev0 write ${at}`) },
  { weight: 2, arbitrary: page.map((at) => `read ${at}`) },
  { weight: 3, arbitrary: page.map((at) => `write ${at}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(span, rights, fc.constantFrom("p anon", "s mem", "p mem"))
      .map(([where, prot, what]) => `map ${where} ${prot} ${what}`),
  },
  { weight: 1, arbitrary: span.map((where) => `unmap ${where}`) },
  { weight: 2, arbitrary: fc.tuple(span, rights).map(([where, prot]) => `protect ${where} ${prot}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(span, fc.constantFrom("dontneed", "cold", "pageout", "free"))
      .map(([where, how]) => `advise ${where} ${how}`),
  },
  { weight: 1, arbitrary: page.map((at) => `remap ${at} 1 1 maymove fixed ${PAGES + at}`) },
  { weight: 2, arbitrary: fc.constant("fork") },
);

/**
 * A script: two mappings to begin with, random ops, each child reaped when the next one is born and at the end; then the device and
 * the CPU read every page.
 */
const lines = fc.array(op, { minLength: 3, maxLength: 24 }).map((ops) => {
  const script = [`map 0 4 rw- p anon`, `map 4 4 rw- s mem`];
  let children = 0;
  for (const line of ops) {
    if (line === "fork" && children > 0) script.push(`reap ${children - 1}`);
    if (line === "fork") children++;
    script.push(line);
  }
  if (children > 0) script.push(`reap ${children - 1}`);
  for (let at = 0; at < PAGES; at++) script.push(`dev dev0 read ${at}`, `read ${at}`);
  return script;
});

/** Random programs with device accesses between their calls. */
export function fuzz(runs: number): Section {
  return {
    name: "random programs",
    tests: [
      {
        title: "the device never holds what the page table does not grant, and never waits for ever",
        run: (subject) => {
          fc.assert(
            fc.property(lines, (script) => onBench(subject, script, (bench) => observe(bench, subject))),
            { numRuns: runs, seed: SEED },
          );
        },
      },
    ],
  };
}

function observe(bench: Bench, subject: Subject): void {
  const { statements } = bench.session.script;
  const values: (number | string | undefined)[] = [];
  for (const { text } of statements) {
    const { err, livelock, val } = bench.run();
    values.push(val);
    const stale = staleEntries(bench);
    if (stale.length > 0) throw new Error(`after "${text}": ${stale.join("; ")}`);
    const [error] = bench.machine.driverErrors;
    if (error !== undefined) throw error;
    if (livelock !== undefined && mustBeTold(bench))
      throw new Error(
        `"${text}" never ends on ${subject.kernel} (${err}): after ${livelock.attempts} attempts the machine was as before. It repeats ${livelock.cycle.join(", ")}`,
      );
  }
  for (let at = 0; at < PAGES; at++) {
    const [device, cpu] = values.slice(statements.length - 2 * (PAGES - at));
    if (device !== undefined && cpu !== undefined && device !== cpu)
      throw new Error(`the device reads ${device} from page ${at}, the CPU reads ${cpu}`);
  }
}

/** This kernel tells this device of every upgrade, or the device need not be told. */
function mustBeTold(bench: Bench): boolean {
  const host = hostFacts(bench.machine.kernel);
  const { declarations } = bench.device.binding();
  return host.hookOnUpgrade || mayFilterUpgrade(declarations, host) !== undefined;
}
