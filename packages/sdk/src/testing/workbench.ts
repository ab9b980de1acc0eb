import {
  architecture,
  createMm,
  flushTlbMm,
  flushTlbPage,
  flushTlbRange,
  Kernel,
  kernelProfile,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  mkPte,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  PTE_AF,
  PTE_DIRTY,
  PTE_HUGE,
  PTE_RDONLY,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
  ptepSetAccessFlags,
  sysMmap,
  sysMunmap,
  type Thread,
  TINY,
} from "@mmu-notifier/core";
import { call, Memory, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { accessUntilResolved, type ResolvedAccess } from "../access-until-resolved.js";
import type { SecondaryMmuDefinition } from "../definition.js";
import { type BoundDevice, createDevice, type Device } from "../host/device.js";
import { Actor } from "./actor.js";
import { type FaultServices, faultServices } from "../host/fault-services.js";

/** Read-only to software and hardware. */
export const READ_ONLY = PTE_VALID | PTE_USER | PTE_AF | PTE_RDONLY;
/** Writable and dirty. */
export const READ_WRITE = PTE_VALID | PTE_USER | PTE_AF | PTE_WRITE | PTE_DIRTY;
/** Writable to software, refused by hardware without dirty management. */
export const WRITABLE_CLEAN = PTE_VALID | PTE_USER | PTE_AF | PTE_WRITE | PTE_RDONLY;

/** Which kernel a {@link Workbench} has. */
export interface WorkbenchOptions {
  /** @defaultValue 'v6.12' */
  readonly profile?: string;
  /** @defaultValue 'arm64' */
  readonly arch?: string;
  /** Two levels of four entries, or the real shape. @defaultValue 'tiny' */
  readonly geometry?: "tiny" | "four-level";
}

/**
 * For a driver's own unit tests: a kernel whose page tables the test writes by hand, one address space, devices, and the few kernel
 * paths that matter to a secondary MMU (an upgrade in place, a downgrade, an unmap) with whatever this kernel tells about them.
 * Scripts and whole machines belong to higher floors.
 *
 * @public
 */
export class Workbench {
  readonly memory = new Memory();
  readonly k: Kernel;
  readonly mm: number;
  #actors = 0;

  constructor({ profile = "v6.12", arch = "arm64", geometry = "tiny" }: WorkbenchOptions = {}) {
    this.k = new Kernel({
      memory: this.memory,
      profile: kernelProfile(profile),
      arch: architecture(arch),
      ...(geometry === "tiny" ? { geometry: TINY } : {}),
    });
    this.mm = this.addMm();
  }

  /** Another address space. */
  addMm(): number {
    return createMm(this.k);
  }

  /** Puts an entry in, without telling anybody; returns the frame. */
  map(vpn: number, flags: number, pfn = this.k.pages.alloc(), mm = this.mm): number {
    const { mms, tables } = this.k;
    tables.set(tables.findOrCreate(mms.pgd(mm), 0, vpn), mkPte(pfn, flags));
    return pfn;
  }

  /** Puts a block of the second level in; returns its first frame. */
  mapBlock(vpn: number, flags: number, mm = this.mm): number {
    const { mms, pages, tables } = this.k;
    const pfn = pages.alloc(Math.log2(tables.hugePages));
    tables.set(tables.findOrCreate(mms.pgd(mm), 1, vpn), mkPte(pfn, flags | PTE_HUGE));
    return pfn;
  }

  /** The leaf entry of a page, 0 when there is none. */
  pte(vpn: number, mm = this.mm): number {
    const { mms, tables } = this.k;
    const ptep = tables.leaf(mms.pgd(mm), vpn);
    return ptep === 0 ? 0 : tables.get(ptep);
  }

  /** A device called dev0. */
  device<D, O extends object>(
    definition: SecondaryMmuDefinition<D, O>,
    options: Partial<O> = {},
    faults: (mm: number) => FaultServices = () => this.faults(),
  ): Device<D, O> {
    return createDevice(this.k, definition, { name: "dev0", options, faults });
  }

  /** A task that the test moves by hand. */
  actor<R>(name: string, path: Path<R>): Actor<R> {
    return new Actor(name, this.#actors++, this.k.scheduler.lockOrder, path);
  }

  /** A device's access on the straight runner, with a proof when it can never end. */
  access(bound: BoundDevice, vpn: number, access: "read" | "write", value = 0): ResolvedAccess {
    return accessUntilResolved({ memory: this.memory, scheduler: this.k.scheduler }, bound, vpn, access, value);
  }

  /** Runs a path to its end. */
  run<R>(path: Path<R>, name = "cpu0"): R {
    return this.k.scheduler.run(path, name);
  }

  /**
   * mmap(2) of anonymous memory at page `vpn`, readable and writable; with {@link kernelFaults} devices then take the
   * kernel's own fault paths.
   */
  mmap(vpn: number, pages: number, sharing: "private" | "shared"): void {
    const flags = MAP_FIXED | MAP_ANONYMOUS | (sharing === "private" ? MAP_PRIVATE : MAP_SHARED);
    const request = { address: vpn * PAGE_SIZE, length: pages * PAGE_SIZE, prot: PROT_READ | PROT_WRITE, flags };
    this.run(sysMmap(this.k, this.thread, request));
  }

  /** munmap(2). */
  munmap(vpn: number, pages: number): void {
    this.run(sysMunmap(this.k, this.thread, vpn * PAGE_SIZE, pages * PAGE_SIZE));
  }

  /** A thread of the address space. */
  get thread(): Thread {
    return { cpu: 0, mm: this.mm };
  }

  /** The fault services of the kernel itself. */
  kernelFaults(): FaultServices {
    return faultServices(this.k, this.mm);
  }

  /** The CPU flushes one page from its TLB, as after a change of its entry. */
  flushPage(vpn: number): Path {
    return flushTlbPage(this.k, 0, this.mm, vpn);
  }

  /** The CPU flushes everything of the address space. */
  flushMm(): Path {
    return flushTlbMm(this.k, 0, this.mm);
  }

  /** A page fault of the kernel that finds a writable or clean-writable page: the shape of handle_pte_fault and wp_page_reuse. */
  faults(how: Partial<{ upgradeEvent: boolean; invalid: boolean }> = {}): FaultServices {
    return {
      handleMmFault: (vpn, write) => call("iommu_sva_handle_mm", this.upgrade(vpn, write, how)),
      getUserPages: (vpn, { write }) => this.gup(vpn, write, how),
    };
  }

  /** RO to RW in place on the same frame, then whatever this kernel tells its devices. Nothing when there is nothing to do. */
  *upgrade(
    vpn: number,
    write = true,
    { upgradeEvent = this.k.profile.upgradeEvent !== undefined, invalid = false } = {},
    mm = this.mm,
  ): Path<number> {
    const { k } = this;
    if (invalid) return 1;
    const ptep = yield step("pte_offset_map", () => k.tables.leaf(k.mms.pgd(mm), vpn));
    if (ptep === 0) return 1;
    const ptl = k.tables.ptl(k.tables.tableOf(ptep));
    yield spinLock(ptl);
    const before = yield step("ptep_get", () => k.tables.get(ptep));
    const wanted = write ? (before | PTE_WRITE | PTE_DIRTY | PTE_AF) & ~PTE_RDONLY : before | PTE_AF;
    const changed = yield* ptepSetAccessFlags(k, 0, mm, vpn, ptep, wanted, write, "test");
    yield spinUnlock(ptl);
    if (changed !== 0 && upgradeEvent) {
      const range = {
        mm,
        start: vpn * PAGE_SIZE,
        end: (vpn + 1) * PAGE_SIZE,
        event: "MMU_NOTIFY_PROTECTION_UPGRADE" as const,
      };
      yield* k.bus.invalidateRangeStart(range);
      yield* k.bus.invalidateRangeEnd(range);
    }
    return 0;
  }

  /** What hva_to_pfn() returns. */
  *gup(vpn: number, write: boolean, how: Partial<{ upgradeEvent: boolean }> = {}): Path<number> {
    const { k } = this;
    if (write) {
      const response = yield* this.upgrade(vpn, true, how);
      if (response !== 0) return -14;
    }
    return yield step("gup", () => {
      const pte = this.pte(vpn);
      return pte === 0 ? -14 : (pte >>> 13) * 2 + (k.pte.hwWritable(pte, false) ? 1 : 0);
    });
  }

  /** The CPU's hardware writes through a writable-clean entry: no software runs and nobody is told. */
  hardwareDirty(vpn: number): void {
    const { mms, pte, tables } = this.k;
    const ptep = tables.leaf(mms.pgd(this.mm), vpn);
    tables.set(ptep, pte.hwMkdirty(tables.get(ptep)));
  }

  /** Takes a page away as munmap does: bracket, clear, flush (with the hook where this kernel has it), end. */
  *unmap(vpn: number, pages = 1, event: "MMU_NOTIFY_UNMAP" | "MMU_NOTIFY_CLEAR" = "MMU_NOTIFY_UNMAP"): Path {
    yield* this.change(vpn, pages, event, () => 0);
  }

  /** Takes the write right away, as fork and mprotect do. */
  *downgrade(vpn: number, pages = 1): Path {
    yield* this.change(vpn, pages, "MMU_NOTIFY_PROTECTION_PAGE", (pte) => this.k.pte.wrprotect(pte));
  }

  /** Changes entries inside a bracket, with a flush before its end. */
  *change(
    vpn: number,
    pages: number,
    event: "MMU_NOTIFY_UNMAP" | "MMU_NOTIFY_CLEAR" | "MMU_NOTIFY_PROTECTION_PAGE",
    to: (pte: number) => number,
  ): Path {
    const { k, mm } = this;
    const range = { mm, start: vpn * PAGE_SIZE, end: (vpn + pages) * PAGE_SIZE, event };
    yield* k.bus.invalidateRangeStart(range);
    for (let at = vpn; at < vpn + pages; at++) {
      yield step(`set_pte ${at}`, () => {
        const ptep = k.tables.find(k.mms.pgd(mm), 0, at);
        if (ptep !== 0 && k.tables.get(ptep) !== 0) k.tables.set(ptep, to(k.tables.get(ptep)));
        return 0;
      });
    }
    yield* flushTlbRange(k, 0, mm, vpn, vpn + pages);
    yield* k.bus.invalidateRangeEnd(range);
  }
}
