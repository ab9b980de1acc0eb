// The search for interleavings: against SPIN, against a hand-packed explorer of the same model, and on the whole kernel's model.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { atLeast, atMost } from "./goals.mjs";

const bench = fileURLToPath(new URL("../../packages/checker/bench/", import.meta.url));
const node = process.execPath;
const spin = process.env.SPIN ?? "spin";
const gcc = process.env.CC ?? "gcc";

/** Runs a command line under bash, which says how much CPU time it and its children took. */
function timed(line, cwd) {
  const script = `TIMEFORMAT='cpu %U %S'; time { ${line}; }`;
  return { command: ["bash", "-c", `{ ${script}; } 2>&1`], cwd };
}
const cpuOf = (output) => {
  const [, user, system] = /cpu ([\d.]+) ([\d.]+)\s*$/.exec(output);
  return Number(user) + Number(system);
};
const seconds = (counters) => (output) => ({ rate: cpuOf(output), counters: counters(output) });
const none = () => "";

const ours = (name, size) => ({
  name,
  ...timed(`"${node}" "${join(bench, "check-upgrade.mjs")}" ${size}`),
  parse: seconds((output) => /"states":(\d+),"transitions":(\d+)/.exec(output).slice(1, 3).join(" states ")),
});
const handPacked = {
  name: "hand-packed explorer",
  ...timed(`"${node}" --input-type=module - 2 2 2 2 2 packed < "${join(bench, "anchors/explore.mjs.txt")}"`),
  parse: seconds((output) => /states=(\d+) trans=(\d+)/.exec(output).slice(1, 3).join(" states ")),
};
const promela = (size) =>
  `${spin} -DNOTIFY -DNC=2 -DND=2 -DNP=2 -DK=${size} -DM=${size} -a "${join(bench, "anchors/mmu.pml")}"`;
const compile = (size) => `${promela(size)} && ${gcc} -O3 -DSAFETY -o pan${size} pan.c`;
const pan = (size) => `./pan${size} -m100000 -w24`;

const isThere = (command) => spawnSync("bash", ["-c", `command -v "${command}"`]).status === 0;
const NO_SPIN = "spin or gcc was not found (or what SPIN and CC name): the ratios to SPIN were left out.";

/** Memory that a stored state takes, tables included, from a run of its own. */
function bytesPerState() {
  const { stdout } = spawnSync(node, [join(bench, "check-upgrade.mjs"), "2"], { encoding: "utf8" });
  return JSON.parse(stdout).bytesPerState;
}

export const checker = {
  name: "checker",
  prepare(work) {
    const withSpin = isThere(spin) && isThere(gcc);
    if (withSpin) {
      const { status, stderr } = spawnSync("bash", ["-c", compile(2)], { cwd: work, encoding: "utf8" });
      if (status !== 0) throw new Error(`spin: ${stderr}`);
    }
    const whole = {
      title: "The seed's protocol, 2 CPUs, 2 devices, 2 pages, whole process",
      unit: "CPU s",
      variants: [ours("checker", 2), handPacked],
      ratios: (cpu) => [
        {
          what: "speed of the checker / hand-packed",
          value: cpu.get("hand-packed explorer") / cpu.get("checker"),
          ...atLeast(0.7),
        },
        { what: "bytes a state", value: bytesPerState(), ...atMost(40) },
      ],
    };
    const spinWhole = {
      title: "The same against SPIN with partial-order reduction, the whole check",
      unit: "CPU s",
      sameCounters: false,
      variants: [ours("checker", 2), { name: "pan", ...timed(pan(2), work), parse: seconds(none) }],
      ratios: (cpu) => [{ what: "checker / pan, in time", value: cpu.get("checker") / cpu.get("pan"), ...atMost(0.7) }],
    };
    const spinSmall = {
      title: "A small model, from nothing to the verdict",
      unit: "CPU s",
      sameCounters: false,
      variants: [
        ours("checker", 1),
        { name: "spin, gcc and pan", ...timed(`${compile(1)} && ${pan(1)}`, work), parse: seconds(none) },
      ],
      ratios: (cpu) => [
        {
          what: "checker / spin, gcc and pan, in time",
          value: cpu.get("checker") / cpu.get("spin, gcc and pan"),
          ...atMost(0.2),
        },
      ],
    };
    const machine = {
      title: "The whole kernel's model: fork, stores, an SMMU without BTM; 400,000 states",
      unit: "k transitions/s",
      variants: [
        {
          name: "checker",
          command: [node, join(bench, "full-machine.mjs"), "400000"],
          parse: (output) => {
            const { states, transitions, cpu } = JSON.parse(output);
            return { rate: transitions / cpu / 1000, counters: `${states} states ${transitions}` };
          },
        },
      ],
      ratios: (rates) => [{ what: "k transitions/s", value: rates.get("checker"), ...atLeast(200) }],
    };
    return {
      notes: withSpin ? [] : [NO_SPIN],
      groups: [whole, ...(withSpin ? [spinWhole, spinSmall] : []), machine],
    };
  },
};
