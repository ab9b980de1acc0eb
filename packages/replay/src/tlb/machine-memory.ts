import {
  type Kernel,
  type KernelEvent,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
  PTE_USER,
  PTE_VALID,
  sysMmap,
  sysMunmap,
  userAccess,
} from "@mmu-notifier/core";
import type { AddressSpace, Machine } from "@mmu-notifier/machine";
import { REGION_PAGES, type RegionTable } from "./region-table.js";
import { MAPPED, type TlbBackend, type TlbReplay, WRITABLE } from "./tlb-replay.js";

const PAGE = 4096;
const READ_WRITE = PROT_READ | PROT_WRITE;
/** Without reserve: a region may be larger than the machine's memory, of which the program uses a part. */
const PRIVATE_ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
/** A flush of more pages than this empties the TLB: dropping them one by one would take longer. */
const WHOLE_FLUSH = 33;

/**
 * The page tables and the kernel of a machine behind a TLB: a walk reads the kernel's own tables, a fault runs its fault path
 * with every subscriber of the bus attached, and what it flushes leaves the TLB.
 *
 * A page trace has no mappings, so every region of 4 GiB that it touches is one private anonymous mapping: the first read maps
 * the zero page, the first write after it is a copy that the bus is told of.
 *
 * @public
 */
export class MachineMemory implements TlbBackend {
  readonly #machine: Machine;
  readonly #k: Kernel;
  readonly #space: AddressSpace;
  readonly #regions: RegionTable;
  readonly #mapped = new Set<number>();
  readonly #afterFault: (vpn: number, write: boolean) => void;
  readonly #pgd: number;

  /** @param afterFault called when a fault has been handled: what the devices do then */
  constructor(
    machine: Machine,
    space: AddressSpace,
    regions: RegionTable,
    afterFault: (vpn: number, write: boolean) => void = () => {},
  ) {
    this.#machine = machine;
    this.#k = machine.kernel;
    this.#space = space;
    this.#regions = regions;
    this.#afterFault = afterFault;
    this.#pgd = this.#k.mms.pgd(space.mm);
  }

  /** Lets the kernel's flushes empty a TLB. */
  connect(tlb: TlbReplay): void {
    this.#k.events.subscribe((event) => this.#flushed(event, tlb));
  }

  walk(tag: number): number {
    const { tables, pte: ops, arch } = this.#k;
    const ptep = tables.leaf(this.#pgd, this.#regions.vpn(tag));
    if (ptep === 0) return 0;
    const pte = tables.get(ptep);
    if ((pte & (PTE_VALID | PTE_USER)) !== (PTE_VALID | PTE_USER) || !ops.hwReadable(pte, arch.cpu.HA)) return 0;
    return ops.hwWritable(pte, arch.cpu.HD) ? MAPPED | WRITABLE : MAPPED;
  }

  fault(tag: number, write: boolean): number {
    const vpn = this.#regions.vpn(tag);
    this.#map(vpn);
    const t = this.#space.thread;
    if (this.#machine.run(userAccess(this.#k, t, vpn, write ? "write" : "read", 1), "page fault") < 0) return 0;
    this.#afterFault(vpn, write);
    return this.walk(tag);
  }

  /** A system call of the trace that takes translations away; others do nothing. */
  systemCall(name: string, args: readonly number[]): void {
    const [start = 0, length = 0] = args;
    if (name !== "munmap" || length <= 0 || !this.#mapped.has(Math.floor(start / PAGE / REGION_PAGES))) return;
    const t = this.#space.thread;
    if (this.#machine.run(sysMunmap(this.#k, t, start, length), name) < 0) return;
    this.#machine.run(
      sysMmap(this.#k, t, { address: start, length, prot: READ_WRITE, flags: PRIVATE_ANONYMOUS }),
      "mmap",
    );
  }

  #map(vpn: number): void {
    const region = Math.floor(vpn / REGION_PAGES);
    if (this.#mapped.has(region)) return;
    this.#mapped.add(region);
    const first = Math.max(region * REGION_PAGES, this.#k.config.mmapMinPage);
    const pages = (region + 1) * REGION_PAGES - first;
    const request = { address: first * PAGE, length: pages * PAGE, prot: READ_WRITE, flags: PRIVATE_ANONYMOUS };
    this.#machine.run(sysMmap(this.#k, this.#space.thread, request), "mmap");
  }

  #flushed(event: KernelEvent, tlb: TlbReplay): void {
    if (event.kind !== "tlb-flush" || event.mm !== this.#space.mm) return;
    if (event.pages < 0 || event.end - event.start > WHOLE_FLUSH) {
      tlb.dropAll();
      return;
    }
    for (let vpn = event.start; vpn < event.end; vpn++) {
      const tag = this.#regions.tag(vpn);
      if (tag >= 0) tlb.drop(tag);
    }
  }
}
