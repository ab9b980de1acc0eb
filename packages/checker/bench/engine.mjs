// Measures the search against SPIN and against the hand-packed explorer, in one run, alternating, in CPU time, and prints ratios.
// usage: node packages/checker/bench/engine.mjs [rounds=5]     (SPIN=/path/to/spin; without spin or gcc those lines are left out)
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const rounds = Number(process.argv[2] ?? 5);
const anchors = fileURLToPath(new URL("anchors/", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "checker-bench-"));
const spin = process.env.SPIN ?? "spin";

/** Runs a command line and returns its CPU seconds (user and system) and what it printed. */
function cpu(line) {
  const { stdout, stderr, status } = spawnSync("bash", ["-c", `TIMEFORMAT='cpu %U %S'; time { ${line}; }`], {
    cwd: work,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`${line}: ${stderr}`);
  const [, user, system] = /cpu ([\d.]+) ([\d.]+)/.exec(stderr);
  return { seconds: Number(user) + Number(system), output: stdout };
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const has = (command) => spawnSync("bash", ["-c", `command -v ${command}`]).status === 0;

const ours = (size) => cpu(`node ${fileURLToPath(new URL("check-upgrade.mjs", import.meta.url))} ${size}`);
const handPacked = (size) =>
  cpu(`node --input-type=module - 2 2 2 ${size} ${size} packed < ${join(anchors, "explore.mjs.txt")}`);
const defines = (size) => `-DNOTIFY -DNC=2 -DND=2 -DNP=2 -DK=${size} -DM=${size}`;
const compile = (size) =>
  cpu(`${spin} ${defines(size)} -a ${join(anchors, "mmu.pml")} && gcc -O3 -DSAFETY -o pan${size} pan.c`);
const pan = (size) => cpu(`./pan${size} -m100000 -w24`);

const withSpin = has(spin) && has("gcc");
const times = { ours: [], hand: [], pan: [], small: [], spinSmall: [] };
if (withSpin) compile(2);
for (let round = 0; round <= rounds; round++) {
  const measured = { ours: ours(2), hand: handPacked(2), small: ours(1) };
  if (withSpin) {
    measured.pan = pan(2);
    const compiled = compile(1).seconds;
    measured.spinSmall = { seconds: compiled + pan(1).seconds };
  }
  // The first round warms the page cache.
  if (round > 0) for (const [name, { seconds }] of Object.entries(measured)) times[name].push(seconds);
  else console.log([measured.ours.output, measured.hand.output].join("").trim());
}
rmSync(work, { recursive: true });

const line = (what, a, b, limit) => console.log(`${what.padEnd(66)} ${(a / b).toFixed(2)}  (limit ${limit})`);
const m = Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]));
console.log("median CPU seconds:", JSON.stringify(m));
line("speed against the hand-packed explorer, whole process", m.hand, m.ours, ">= 0.7");
if (withSpin) {
  line("whole check against SPIN with partial-order reduction", m.ours, m.pan, "<= 0.7");
  line("verdict of a small model against spin, gcc and pan", m.small, m.spinSmall, "<= 0.2");
} else console.log("no spin or gcc here: the SPIN ratios were not measured");
