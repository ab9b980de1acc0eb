// A page trace through TLB and walk. usage: node tlb.mjs FILE demand|strip|machine [DRIVER_PACKAGE...]
// demand: pages appear by themselves, as in the C anchor. machine: the walk reads the kernel's tables, faults run the kernel's path,
// the devices of the drivers are attached and use every page that was faulted.
import { PluginRegistry } from "@mmu-notifier/machine";
import { createTlbReplay, DemandMemory, PageReplay, stripTrace } from "../dist/index.js";
import { report } from "./measure.mjs";
import { readKeys } from "./trace-input.mjs";

const [, , file, variant, ...drivers] = process.argv;
const { keys, regions } = readKeys(file);

/** The TLB stays, so that V8 sees one; what is behind it is new for each repetition. */
let behind;
const tlb = createTlbReplay({ walk: (tag) => behind.walk(tag), fault: (tag, write) => behind.fault(tag, write) });
const stripped = variant === "strip" ? stripTrace(keys) : undefined;

const registry = PluginRegistry.withCore();
for (const name of drivers) registry.add((await import(name)).default, name);

let before = tlb.counters;
let devices = "";
function prepare() {
  tlb.dropAll();
  before = tlb.counters;
  if (variant !== "machine") {
    behind = new DemandMemory();
    return;
  }
  const replay = new PageReplay(regions, { registry });
  replay.connect(tlb);
  behind = replay.memory;
  devices = () =>
    replay
      .devices()
      .map(({ name, delivered, costs }) => `${name} delivered=${delivered} hits=${costs.hits} misses=${costs.misses}`);
}

function run() {
  if (stripped === undefined) tlb.run(keys);
  else tlb.runStripped(stripped.keys, stripped.stripped);
  return keys.length;
}

function counters() {
  const now = tlb.counters;
  const of = (name) => now[name] - before[name];
  return `l1=${of("l1Hits")} l2=${of("l2Hits")} walk=${of("walks")} fault=${of("faults")} up=${of("upgrades")}`;
}

report({ prepare, run, counters, note: () => (devices === "" ? "" : devices().join("; ")) });
