// What npm run bench measures.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { checker } from "./checker.mjs";
import { atLeast, atMost, context } from "./goals.mjs";

const replay = fileURLToPath(new URL("../../packages/replay/", import.meta.url));
const bench = (name) => join(replay, "bench", name);
const node = process.execPath;
const COMPILER = "cc";
const DRIVERS = ["@mmu-notifier/driver-arm-smmu", "@mmu-notifier/driver-iommu-btm", "@mmu-notifier/driver-kvm"].map(
  (name) => fileURLToPath(import.meta.resolve(name)),
);

/** Compiles a C anchor; undefined when there is no compiler. */
function compile(source, work) {
  const target = join(work, source.replace(".c", ""));
  const { status } = spawnSync(process.env.CC ?? COMPILER, [
    "-O3",
    "-march=native",
    "-w",
    "-o",
    target,
    bench(`anchors/${source}`),
  ]);
  return status === 0 ? target : undefined;
}
const NO_COMPILER =
  "No C compiler was found (cc, or what CC names): the C anchors were left out, and with them the ratios to C.";

/** The lines of sim32.c: the first repetition is dropped. */
function parseSim(stdout) {
  const lines = stdout.trim().split("\n").slice(1);
  const rates = lines.map((line) => Number(/([\d.]+) Macc\/s/.exec(line)[1])).toSorted((a, b) => a - b);
  return { rate: rates[rates.length >> 1], counters: /l1=.* up=\d+/.exec(lines[0])[0] };
}

const tlb = {
  name: "tlb",
  async prepare(work) {
    const { writePageTrace, writeUniform } = await import(pathToFileURL(bench("trace-input.mjs")).href);
    const sim = compile("sim32.c", work);
    const files = {
      "git log -p, ten times over": join(work, "git.bin"),
      "a C program that sorts, ten times over": join(work, "hello.bin"),
      "uniform over 16384 pages": join(work, "uniform.bin"),
    };
    await writePageTrace(join(replay, "bench/data/git.pages.zst"), files["git log -p, ten times over"], 10);
    await writePageTrace(join(replay, "traces/hello.pages.zst"), files["a C program that sorts, ten times over"], 10);
    writeUniform(16384, 4e6, files["uniform over 16384 pages"]);
    const group = ([title, file]) => ({
      title: `TLB and walk: ${title}`,
      unit: "M accesses/s",
      variants: [
        ...(sim === undefined ? [] : [{ name: "C (sim32.c)", command: [sim, file, "6"], parse: parseSim }]),
        { name: "fast path alone", command: [node, bench("tlb.mjs"), file, "demand"] },
        { name: "fast path, stripped", command: [node, bench("tlb.mjs"), file, "strip"] },
        { name: "kernel and three drivers", command: [node, bench("tlb.mjs"), file, "machine", ...DRIVERS] },
      ],
      ratios(rates) {
        const c = rates.get("C (sim32.c)");
        const hitHeavy = !title.startsWith("uniform");
        if (c === undefined) return [];
        return [
          {
            what: "fast path alone / C",
            value: rates.get("fast path alone") / c,
            ...(hitHeavy ? context : atLeast(0.6)),
          },
          {
            what: "kernel and three drivers / C",
            value: rates.get("kernel and three drivers") / c,
            ...(hitHeavy ? atLeast(0.35) : context),
          },
          { what: "stripped / C", value: rates.get("fast path, stripped") / c, ...(hitHeavy ? atLeast(2) : context) },
        ];
      },
    });
    return { notes: sim === undefined ? [NO_COMPILER] : [], groups: Object.entries(files).map(group) };
  },
};

/** The line of fault.c for a number of subscribers. */
const parseFault = (drivers) => (stdout) => ({
  rate: Math.max(
    ...[...stdout.matchAll(new RegExp(`subs=${drivers} ([\\d.]+) Mops`, "g"))].map(([, rate]) => Number(rate)),
  ),
});

const notify = {
  name: "notify",
  prepare(work) {
    const fault = compile("fault.c", work);
    const program = (variant, drivers) => [node, bench("notify.mjs"), variant, String(drivers)];
    const dispatch = (drivers, goals) => ({
      title: `Upgrade of a page, told to ${drivers} drivers, a third of which filter it`,
      unit: "M notifications/s",
      sameCounters: false,
      variants: [
        ...(fault === undefined ? [] : [{ name: "C (fault.c)", command: [fault], parse: parseFault(drivers) }]),
        { name: "plain loop, no rules", command: program("loop", drivers) },
        { name: "bus, RxJS subscribers", command: program("rxjs", drivers) },
      ],
      ratios: (rates) => [
        {
          what: "bus / plain loop",
          value: rates.get("bus, RxJS subscribers") / rates.get("plain loop, no rules"),
          ...context,
        },
        ...(fault === undefined
          ? []
          : [{ what: "bus / C", value: rates.get("bus, RxJS subscribers") / rates.get("C (fault.c)"), ...context }]),
        ...goals(rates),
      ],
    });
    const filter = {
      title: "What a driver costs that filters the event",
      unit: "M notifications/s",
      sameCounters: false,
      variants: ["filtered", "delivered"].flatMap((variant) =>
        [1, 31].map((drivers) => ({ name: `${drivers} drivers, ${variant}`, command: program(variant, drivers) })),
      ),
      ratios(rates) {
        const perDriver = (variant) => 1 / rates.get(`31 drivers, ${variant}`) - 1 / rates.get(`1 drivers, ${variant}`);
        const value = Math.max(0, perDriver("filtered")) / perDriver("delivered");
        return [{ what: "30 more drivers that filter / 30 more that do not, in time", value, ...atMost(0.1) }];
      },
    };
    const rate = (rates) => [
      { what: "M notifications/s with three", value: rates.get("bus, RxJS subscribers"), ...atLeast(1) },
    ];
    return {
      notes: fault === undefined ? [NO_COMPILER] : [],
      groups: [dispatch(3, rate), dispatch(10, () => []), filter],
    };
  },
};

const corpora = fileURLToPath(new URL("../../packages/conformance/corpus/", import.meta.url));
const passes = fileURLToPath(new URL("../../packages/conformance/bench/conform.mjs", import.meta.url));

const conformance = {
  name: "conformance",
  prepare() {
    const sets = readdirSync(corpora).filter((name) => name.endsWith(".jsonl.gz") && !name.endsWith(".W.jsonl.gz"));
    const group = (title, files, goal) => ({
      title: `Recorded operations on the model, every field compared: ${title}`,
      unit: "operations/s",
      variants: [{ name: "conform()", command: [node, passes, ...files.map((name) => join(corpora, name))] }],
      ratios: (rates) => [{ what: "operations a CPU second", value: rates.get("conform()"), ...goal }],
    });
    const machineOf = (name) => (/^(x86|arm64)/.test(name) ? "qemu" : name.includes("-finds") ? "finds" : "linux-6.18");
    const on = (machine) => sets.filter((name) => machineOf(name) === machine);
    return {
      groups: [
        group("Linux 6.18", on("linux-6.18"), atLeast(20_000)),
        group("kernels in QEMU", on("qemu"), context),
        group("finds of fuzzing and of fresh recordings, most with huge pages", on("finds"), context),
      ],
    };
  },
};

export const suites = [tlb, notify, checker, conformance];
