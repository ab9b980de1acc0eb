import {
  EFAULT,
  EINVAL,
  ENOENT,
  EPERM,
  type Kernel,
  migrateVma,
  PTE_LEVEL,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteWrite,
  VM_READ,
  VM_WRITE,
} from "@mmu-notifier/core";
import type { Device, Machine } from "@mmu-notifier/machine";
import { leafWritable, type IntervalMirror } from "@mmu-notifier/sdk";
import { ARENA_PAGE } from "@mmu-notifier/script";
import type { TestProcess } from "./process.js";

/** What an ioctl of the test device gives back. */
export interface DmirrorResult {
  /** 0 or -errno. */
  readonly ret: number;
  /** Pages that were done. */
  readonly cpages: number;
  /** Rounds of faulting, not pages: one resolves all that is left. */
  readonly faults: number;
  /** What a read brought back; as many as `cpages`. */
  readonly data: readonly number[];
}

/** Pages that dmirror_fault() resolves at once. */
const CHUNK = 32;
/** Pages that one migrate_vma_setup() is asked for, at most. */
const STEP = 512;

/**
 * The ioctls of lib/test_hmm.c on a device with an {@link IntervalMirror}: loops that look pages up in the mirror, and have the
 * driver resolve what is missing. Pages count from the test's buffer.
 */
export class Dmirror {
  readonly device: Device;
  readonly mirror: IntervalMirror;
  readonly #machine: Machine;
  readonly #process: TestProcess;
  /** Pages that were given to the device alone and have not been resolved since. */
  readonly #atomic = new Set<number>();
  /** Frames that are this device's memory. */
  readonly #memory = new Set<number>();

  constructor(machine: Machine, process: TestProcess, device: Device, mirror: IntervalMirror) {
    this.#machine = machine;
    this.#process = process;
    this.device = device;
    this.mirror = mirror;
  }

  /** HMM_DMIRROR_READ. `between` is called before each chunk is resolved: what another thread does then. */
  read(first: number, pages: number, between: (chunk: number) => void = () => undefined): DmirrorResult {
    return this.#copy(first, pages, "read", () => 0, between);
  }

  /** HMM_DMIRROR_WRITE of `value(page)` to each page. */
  write(first: number, pages: number, value: (page: number) => number): DmirrorResult {
    return this.#copy(first, pages, "write", value, () => undefined);
  }

  /**
   * HMM_DMIRROR_MIGRATE_TO_DEV, to memory that the CPU reaches too (MEMORY_DEVICE_COHERENT), and a read of it by the device:
   * what did not move is not found.
   */
  migrateToDevice(first: number, pages: number): DmirrorResult {
    const { kernel } = this.#machine;
    const { thread } = this.#process.space;
    for (let page = first; page < first + pages; page++)
      if ((this.#vmaFlags(page) & VM_READ) === 0) return { ret: -EINVAL, cpages: 0, faults: 0, data: [] };
    const before = this.#frames(first, pages);
    let cpages = 0;
    for (let page = first, next = page; page < first + pages; page = next) {
      next = Math.min(first + pages, page + STEP, this.#vmaEnd(page));
      const moved = this.#machine.run(
        migrateVma(kernel, thread, ARENA_PAGE + page, ARENA_PAGE + next, this.#owner),
        "migrate",
      );
      if (moved < 0) return { ret: moved, cpages, faults: 0, data: [] };
      cpages += moved;
    }
    const after = this.#frames(first, pages);
    if (after.some((pfn, i) => pfn === before[i])) return { ret: -ENOENT, cpages, faults: 0, data: [] };
    for (const pfn of after) this.#memory.add(pfn);
    const { data } = this.read(first, pages);
    return { ret: 0, cpages, faults: 0, data };
  }

  /** HMM_DMIRROR_EXCLUSIVE: each page is the device's alone; then it reads them. */
  exclusive(first: number, pages: number): DmirrorResult {
    for (let page = first; page < first + pages; page++) {
      const result = this.#machine.run(this.mirror.exclusive(ARENA_PAGE + page), "exclusive");
      if (result < 0) return { ret: result, cpages: page - first, faults: 0, data: [] };
      this.#atomic.add(page);
    }
    return this.read(first, pages);
  }

  /** HMM_DMIRROR_CHECK_EXCLUSIVE: -EPERM while any page of the range is still the device's alone. */
  checkExclusive(first: number, pages: number): number {
    for (let page = first; page < first + pages; page++)
      if (this.#atomic.has(page) && this.mirror.peek(ARENA_PAGE + page) > 0) return -EPERM;
    return 0;
  }

  /** HMM_DMIRROR_SNAPSHOT: what hmm_range_fault() says of each page when it is asked to fault nothing. */
  snapshot(first: number, pages: number, remote?: Dmirror): readonly string[] {
    return Array.from({ length: pages }, (_, i) => this.#code(first + i, remote));
  }

  #copy(
    first: number,
    pages: number,
    access: "read" | "write",
    value: (page: number) => number,
    between: (chunk: number) => void,
  ): DmirrorResult {
    const data: number[] = [];
    let faults = 0;
    while (data.length < pages) {
      const page = first + data.length;
      if (this.#has(page, access)) {
        data.push(this.#access(page, access, value(page)));
        continue;
      }
      const ret = this.#fault(page, first + pages, access, between);
      if (ret < 0) return { ret, cpages: data.length, faults, data };
      faults++;
    }
    return { ret: 0, cpages: pages, faults, data };
  }

  /** The mirror has an entry with the right; a page that is the device's alone does not count as writable. */
  #has(page: number, access: "read" | "write"): boolean {
    const leaf = this.mirror.peek(ARENA_PAGE + page);
    return leaf > 0 && (access === "read" || (leafWritable(leaf) && !this.#atomic.has(page)));
  }

  /** dmirror_fault() */
  #fault(first: number, end: number, access: "read" | "write", between: (chunk: number) => void): number {
    for (let at = first, chunk = 0; at < end; at += CHUNK, chunk++) {
      between(chunk);
      const pages = Math.min(CHUNK, end - at);
      const refused = this.#refusal(at, pages, access);
      if (refused < 0) return refused;
      const ret = this.#machine.run(this.mirror.populate(ARENA_PAGE + at, pages, access === "write"), "dmirror_fault");
      if (ret < 0) return ret;
      for (let page = at; page < at + pages; page++) if (access === "write") this.#atomic.delete(page);
    }
    return 0;
  }

  /** hmm_vma_walk_test() and hmm_vma_fault() in mm/hmm.c: rights of the VMA come before those of the entries. */
  #refusal(first: number, pages: number, access: "read" | "write"): number {
    for (let page = first; page < first + pages; page++) {
      const flags = this.#vmaFlags(page);
      if ((flags & VM_READ) === 0) return -EFAULT;
      if (access === "write" && (flags & VM_WRITE) === 0) return -EPERM;
    }
    return 0;
  }

  #access(page: number, access: "read" | "write", value: number): number {
    const { outcome } = this.device.access(ARENA_PAGE + page, access, value, this.#process.space);
    if (outcome.kind !== "value") throw new Error(`the device's ${access} of page ${page} came to ${outcome.kind}`);
    return outcome.value;
  }

  #code(page: number, remote: Dmirror | undefined): string {
    const flags = this.#vmaFlags(page);
    if ((flags & VM_READ) === 0) return "ERROR";
    const { tables, mms } = this.#k;
    const ptep = tables.leaf(mms.pgd(this.#process.space.mm), ARENA_PAGE + page);
    const pte = ptep === 0 ? 0 : tables.get(ptep);
    if (!ptePresent(pte)) return "NONE";
    const [pfn] = this.#frames(page, 1);
    const kind = pteSpecial(pte)
      ? "ZERO|"
      : this.#memory.has(pfn!)
        ? "DEV_COHERENT_LOCAL|"
        : remote !== undefined && remote.#memory.has(pfn!)
          ? "DEV_COHERENT_REMOTE|"
          : "";
    return `${kind}${pteWrite(pte) ? "WRITE" : "READ"}${tables.levelOf(ptep) === PTE_LEVEL ? "" : "|PMD"}`;
  }

  get #k(): Kernel {
    return this.#machine.kernel;
  }

  get #owner(): number {
    return this.device.binding(this.#process.space).declarations.owner ?? 0;
  }

  /** First page behind the VMA of a page. */
  #vmaEnd(page: number): number {
    const { vmas, mms } = this.#k;
    return vmas.end(vmas.lookup(mms.vmaList(this.#process.space.mm), ARENA_PAGE + page)) - ARENA_PAGE;
  }

  #vmaFlags(page: number): number {
    const { vmas, mms } = this.#k;
    const vma = vmas.lookup(mms.vmaList(this.#process.space.mm), ARENA_PAGE + page);
    return vma === 0 ? 0 : vmas.flags(vma);
  }

  /** Frames of the pages, 0 where nothing is mapped. */
  #frames(first: number, pages: number): number[] {
    const { tables, mms } = this.#k;
    return Array.from({ length: pages }, (_, i) => {
      const vpn = ARENA_PAGE + first + i;
      const ptep = tables.leaf(mms.pgd(this.#process.space.mm), vpn);
      const pte = ptep === 0 ? 0 : tables.get(ptep);
      if (!ptePresent(pte)) return 0;
      return ptePfn(pte) + (tables.levelOf(ptep) === PTE_LEVEL ? 0 : vpn % tables.hugePages);
    });
  }
}
