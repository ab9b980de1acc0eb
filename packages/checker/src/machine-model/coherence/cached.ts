import { ptePfn } from "@mmu-notifier/core";
import type { Device, Machine } from "@mmu-notifier/machine";
import type { BoundDevice, SecondaryEntry } from "@mmu-notifier/sdk";

/**
 * What a cache stands in for: the CPU's page table, which only invalidations keep it true to; a copy that notifications keep true;
 * pages that are pinned.
 */
type Standing = "walks" | "mirrors" | "pinned";

/** One translation in some cache. */
export interface Cached {
  /** Whose it is: "smmu0's IOTLB". */
  readonly holder: string;
  readonly standing: Standing;
  readonly mm: number;
  readonly vpn: number;
  readonly pages: number;
  readonly pfn: number;
  readonly write: boolean;
  /** The agent sets the dirty state by itself, so that clean writable entries let it write. */
  readonly HD: boolean;
}

const NAMES: Readonly<Record<SecondaryEntry["where"], string>> = {
  iotlb: "IOTLB",
  atc: "ATC",
  spte: "SPTEs",
  "vcpu-tlb": "vCPU TLB",
  mirror: "mirror",
};

/** What kind of standing the caches of a binding have. */
function standingOf({ declarations }: BoundDevice): Standing {
  if (declarations.pageTable === "pinned") return "pinned";
  return declarations.pageTable === "mirror" ? "mirrors" : "walks";
}

/** One binding of a device, with what its caches stand for. */
export interface Holder {
  /** Number of the device. */
  readonly index: number;
  readonly device: Device;
  readonly bound: BoundDevice;
  readonly standing: Standing;
  /** What findings call each of its caches. */
  readonly names: Readonly<Record<SecondaryEntry["where"], string>>;
}

function namesOf({ name }: Device): Holder["names"] {
  const full = (where: SecondaryEntry["where"]): string => `${name}'s ${NAMES[where]}`;
  return {
    iotlb: full("iotlb"),
    atc: full("atc"),
    spte: full("spte"),
    "vcpu-tlb": full("vcpu-tlb"),
    mirror: full("mirror"),
  };
}

/** Every binding of a machine; none comes or goes while it is searched. */
export function holdersOf({ devices }: Machine): readonly Holder[] {
  return devices.flatMap((device, index) =>
    device.bindings.map((bound) => ({ index, device, bound, standing: standingOf(bound), names: namesOf(device) })),
  );
}

/** Every translation that anybody could use now without asking. Between steps. */
export function cachedIn(machine: Machine, holders = holdersOf(machine)): Cached[] {
  const found: Cached[] = [];
  for (const holder of holders) ofBinding(holder, found);
  ofCpus(machine, found);
  return found;
}

function ofBinding({ bound, names, standing }: Holder, found: Cached[]): void {
  const { mm, walker } = bound;
  for (const { where, vpn, pages, pfn, read, write } of bound.binding.entries()) {
    if (!read && !write) continue;
    found.push({
      holder: names[where],
      standing,
      mm,
      vpn,
      pages,
      pfn,
      write,
      HD: walker.agent.HD,
    });
  }
}

function ofCpus({ kernel }: Machine, found: Cached[]): void {
  const { mms, tlbs, pte: ops, arch } = kernel;
  if (tlbs.entries === 0) return;
  tlbs.forEach((cpu, asid, vpn, pages, pte) => {
    for (let mm = 1; mm < mms.segment.used; mm++) {
      // Nobody runs in an address space without users: its number is not used again without a flush.
      if (!mms.isLive(mm) || mms.users(mm) === 0 || mms.asid(mm) !== asid) continue;
      found.push({
        holder: `cpu${cpu}'s TLB`,
        standing: "walks",
        mm,
        vpn,
        pages,
        pfn: ptePfn(pte),
        write: ops.hwWritable(pte, false),
        HD: arch.cpu.HD,
      });
    }
  });
}
