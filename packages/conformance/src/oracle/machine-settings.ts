import type { KernelConfig } from "@mmu-notifier/core";
import { versionOf, type Surroundings } from "./missing.js";

/** What this machine is set to, in the model's words. */
export interface MachineSettings {
  readonly config: Partial<KernelConfig>;
  /** Settings that the model does not know: differences may come from them. */
  readonly notes: readonly string[];
}

const THP = "/sys/kernel/mm/transparent_hugepage";
const SIZES = [8, 16, 32, 64, 128, 256, 512, 1024];
const KIB_OF_PAGE = 4;

/** Reads the settings that decide what scripts do, with their files in `folder`. What cannot be read is left to the model's own defaults. */
export function machineSettings(
  machine: Pick<Surroundings, "read" | "exists" | "kernelConfig" | "deviceOf">,
  folder: string,
): MachineSettings {
  const notes: string[] = [];
  const number = (path: string): number | undefined => {
    const text = machine.read(path)?.trim();
    return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
  };
  const thp = chosen(machine.read(`${THP}/enabled`));
  const zero = number(`${THP}/use_zero_page`);
  const mapCount = number("/proc/sys/vm/max_map_count");
  const least = number("/proc/sys/vm/mmap_min_addr");
  const ahead = number(`/sys/class/bdi/${machine.deviceOf(folder)}/read_ahead_kb`);
  const around = number("/sys/kernel/debug/fault_around_bytes");
  const config: Partial<KernelConfig> = {
    cpus: 1,
    memlockLimit: -1,
    privileged: true,
    nodes: nodesOf(machine),
    softDirty: /^CONFIG_MEM_SOFT_DIRTY=y$/m.test(machine.kernelConfig() ?? ""),
    shmemThp: shmem(chosen(machine.read(`${THP}/shmem_enabled`)), notes),
    thp: thp === "always" || thp === "madvise" ? thp : "never",
    ...(zero === undefined ? {} : { useZeroPage: zero === 1 }),
    ...(mapCount === undefined ? {} : { maxMapCount: mapCount }),
    ...(least === undefined ? {} : { mmapMinPage: Math.ceil(least / (KIB_OF_PAGE * 1024)) }),
    ...(ahead === undefined ? {} : { readAheadPages: ahead / KIB_OF_PAGE }),
    ...(around === undefined ? {} : { faultAroundPages: Math.max(1, around / (KIB_OF_PAGE * 1024)) }),
  };
  for (const size of SIZES) {
    const enabled = chosen(machine.read(`${THP}/hugepages-${size}kB/enabled`));
    if (enabled !== undefined && enabled !== "never") notes.push(`folios of ${size} KiB are enabled (${enabled})`);
  }
  if (machine.read("/sys/module/zswap/parameters/enabled")?.trim() === "Y") notes.push("zswap is on");
  if (number("/sys/kernel/mm/ksm/run") === 1) notes.push("ksmd is running");
  if (/^0x0*[1-9a-f]/.test(machine.read("/sys/kernel/mm/lru_gen/enabled") ?? ""))
    notes.push("the multi-generational LRU is on");
  return { config, notes };
}

/** Pages of swap that are switched on. */
export function swapPages(machine: Pick<Surroundings, "read">): number {
  const lines = (machine.read("/proc/swaps") ?? "").split("\n").slice(1);
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2] ?? 0) / KIB_OF_PAGE, 0);
}

/** The word in brackets of a knob such as `always [madvise] never`. */
function chosen(text: string | undefined): string | undefined {
  return text === undefined ? undefined : /\[(.+)\]/.exec(text)?.[1];
}

function shmem(setting: string | undefined, notes: string[]): KernelConfig["shmemThp"] {
  if (setting === "always" || setting === "advise") return setting;
  if (setting !== undefined && setting !== "never") notes.push(`shmem_enabled is ${setting}`);
  return "never";
}

function nodesOf({ exists }: Pick<Surroundings, "exists">): number {
  let nodes = 1;
  while (exists(`/sys/devices/system/node/node${nodes}`)) nodes++;
  return nodes;
}

/** The newest of the known kernels that is not newer than a release; the oldest if all are newer. */
export function kernelFor(release: string, known: readonly string[]): string {
  const [major, minor] = versionOf(release);
  const plain = known
    .filter((name) => /^v\d+\.\d+$/.test(name))
    .map((name) => ({ name, version: versionOf(name.slice(1)) }))
    .sort((a, b) => a.version[0] - b.version[0] || a.version[1] - b.version[1]);
  const found = plain.findLast(({ version }) => version[0] < major || (version[0] === major && version[1] <= minor));
  return (found ?? plain[0]!).name;
}
