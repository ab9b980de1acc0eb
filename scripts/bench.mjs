// npm run bench [-- --rounds N] [-- --only SUITE] [-- --write]
// Measures the hot paths against C programs and against plain code, in one run. Every variant is a process of its own, rounds
// alternate, the first round is dropped, CPU time, medians; counters of variants that do the same work must be equal. Only ratios
// say something: rates depend on the machine and on its other load. --write puts the table into docs/reference/performance.md.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { suites } from "./bench/suites.mjs";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, only: { type: "string" }, write: { type: "boolean" } },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error(`--rounds wants a number of rounds from 1, not ${values.rounds}`);
  process.exit(2);
}
const page = fileURLToPath(new URL("../docs/reference/performance.md", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "mmu-notifier-bench-"));
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

/** Runs a variant once. A variant without `parse` prints a line of JSON. */
function measure({ name, command, cwd, parse = JSON.parse }) {
  const [file, ...args] = command;
  const { stdout, stderr, status } = spawnSync(file, args, { cwd, encoding: "utf8", maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${name}: ${stderr}${stdout}`);
  return parse(stdout);
}

/** All rounds of a group of variants; the rates of each by name. */
function runGroup({ title, variants, sameCounters = true }) {
  const rates = new Map(variants.map(({ name }) => [name, []]));
  let expected;
  for (let round = 0; round <= rounds; round++) {
    for (const variant of variants) {
      const { rate, counters } = measure(variant);
      if (round > 0) rates.get(variant.name).push(rate);
      if (!sameCounters) continue;
      expected ??= { counters, name: variant.name };
      if (counters !== expected.counters) {
        throw new Error(
          `${title}: ${variant.name} counts ${counters}, ${expected.name} ${expected.counters}. They must do the same work`,
        );
      }
    }
    process.stderr.write(".");
  }
  process.stderr.write(` ${title}\n`);
  return { rates: new Map([...rates].map(([name, all]) => [name, median(all)])), counters: expected?.counters };
}

function table(head, rows) {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i].length)));
  const line = (cells) => `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)].join("\n");
}

const output = [];
let failed = 0;
try {
  for (const suite of suites.filter(({ name }) => values.only === undefined || name === values.only)) {
    const prepared = await suite.prepare(work);
    for (const note of prepared.notes ?? []) output.push(note, "");
    for (const group of prepared.groups) {
      const { rates, counters } = runGroup(group);
      const rows = [...rates].map(([name, rate]) => [name, rate.toFixed(rate < 10 ? 2 : 0)]);
      output.push(
        `**${group.title}**${counters ? ` (${counters})` : ""}`,
        "",
        table(["variant", group.unit], rows),
        "",
      );
      const ratios = group.ratios(rates);
      for (const { value, holds } of ratios) if (!holds(value)) failed++;
      const cells = ratios.map(({ what, value, goal, holds }) => [
        what,
        value.toFixed(2),
        goal,
        holds(value) ? "yes" : "no",
      ]);
      if (cells.length > 0) output.push(table(["ratio", "here", "goal", "reached"], cells), "");
    }
  }
} finally {
  rmSync(work, { recursive: true });
}
const text = output.join("\n");
console.log(`\n${text}`);
if (failed > 0) console.log(`${failed} goals were not reached in this run.`);
if (values.write === true) {
  const [start, end] = ["<!-- bench -->", "<!-- /bench -->"];
  const old = readFileSync(page, "utf8");
  const from = old.indexOf(start) + start.length;
  writeFileSync(page, `${old.slice(0, from)}\n\n${text}\n${old.slice(old.indexOf(end))}`);
}
