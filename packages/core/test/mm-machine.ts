import { invalidations } from "@mmu-notifier/bus";
import {
  architecture,
  createMm,
  type Geometry,
  INODE_DISK,
  INODE_SHMEM,
  Kernel,
  type KernelConfig,
  type KernelEvent,
  kernelProfile,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  PTE_LEVEL,
  ptePfn,
  ptePresent,
  pteWrite,
  sysMmap,
  type Thread,
  userAccess,
} from "@mmu-notifier/core";
import { Memory, type Path } from "@mmu-notifier/steps";

const ARENA = 0x200_0000_0000;

/** Pages of the arena begin here, as in the recorded corpora. */
export const BASE = ARENA / PAGE_SIZE;

const CALLS: Readonly<Record<string, string>> = {
  invalidate_range_start: "S",
  invalidate_range_end: "E",
  invalidate_range: "X",
  arch_invalidate_secondary_tlbs: "X",
  change_pte: "C",
  clear_flush_young: "Y",
};

/**
 * A kernel with one process and a subscriber to its address space. {@link MmMachine.log} says what the subscriber heard, in
 * the notation of the recorded corpora: `S 0-1 CLEAR`, `X 0-1`, `E 0-1 CLEAR`, `E 0-1 CLEAR only`; pages relative to {@link BASE}.
 */
export class MmMachine {
  readonly k: Kernel;
  readonly t: Thread;
  readonly events: KernelEvent[] = [];
  readonly #log: string[] = [];

  constructor(
    profile: string,
    arch: string,
    options: { readonly config?: Partial<KernelConfig>; readonly geometry?: Geometry } = {},
  ) {
    this.k = new Kernel({
      memory: new Memory(),
      profile: kernelProfile(profile),
      arch: architecture(arch),
      ...options,
    });
    this.t = { cpu: 0, mm: createMm(this.k) };
    this.listen(this.t.mm);
    this.k.bus.calls.subscribe(({ call, mm, start, end, event, onlyEnd }) => {
      const fn = CALLS[call];
      if (fn === undefined) return;
      const whose = mm === this.t.mm ? "" : ` mm${mm}`;
      const what = event === undefined ? "" : ` ${event.replace("MMU_NOTIFY_", "")}`;
      this.#log.push(`${fn} ${rangeOf(start, end)}${what}${onlyEnd === true ? " only" : ""}${whose}`);
    });
    this.k.events.subscribe((event) => this.events.push(event));
  }

  /** Subscribes to an address space. */
  listen(mm: number): void {
    this.k.bus
      .notifications(mm)
      .pipe(invalidations())
      .subscribe(() => {});
  }

  run<R>(path: Path<R>): R {
    return this.k.scheduler.run(path);
  }

  /** Runs a path and returns what the subscribers heard. */
  log(path: Path<unknown>): string[] {
    this.#log.length = 0;
    this.run(path);
    return [...this.#log];
  }

  anon(page: number, pages: number, prot = PROT_READ | PROT_WRITE): void {
    this.#map(page, pages, prot, MAP_PRIVATE | MAP_ANONYMOUS, 0, 0);
  }

  file(file: number, page: number, pages: number, how: "shared" | "private" = "shared", offset = 0): void {
    this.#map(page, pages, PROT_READ | PROT_WRITE, how === "shared" ? MAP_SHARED : MAP_PRIVATE, file, offset);
  }

  #map(page: number, pages: number, prot: number, flags: number, file: number, offset: number): void {
    const result = this.run(
      sysMmap(this.k, this.t, {
        address: this.at(page),
        length: pages * PAGE_SIZE,
        prot,
        flags: flags | MAP_FIXED,
        file,
        offset: offset * PAGE_SIZE,
      }),
    );
    if (result < 0) throw new Error(`mmap: ${result}`);
  }

  /** Byte address of an arena page. */
  at(page: number): number {
    return (BASE + page) * PAGE_SIZE;
  }

  disk(pages: number): number {
    return this.#open(INODE_DISK, pages);
  }

  shmem(pages: number): number {
    return this.#open(INODE_SHMEM, pages);
  }

  #open(kind: number, pages: number): number {
    const inode = this.k.files.createInode(kind, pages);
    for (let i = 0; i < pages; i++) this.k.files.setStored(inode, i, 100 + i);
    return this.k.files.open(inode, 3);
  }

  read(page: number, t = this.t): number {
    return this.run(userAccess(this.k, t, BASE + page, "read", 0));
  }

  write(page: number, value = 1, t = this.t): number {
    return this.run(userAccess(this.k, t, BASE + page, "write", value));
  }

  writeAll(page: number, pages: number): void {
    for (let i = 0; i < pages; i++) this.write(page + i, i + 1);
  }

  pte(page: number, mm = this.t.mm): number {
    const ptep = this.k.tables.find(this.k.mms.pgd(mm), PTE_LEVEL, BASE + page);
    return ptep === 0 ? 0 : this.k.tables.get(ptep);
  }

  /** `rw`, `ro`, `none`, or `swap` for a non-present entry. */
  state(page: number, mm = this.t.mm): "rw" | "ro" | "none" | "swap" {
    const pte = this.pte(page, mm);
    if (pte === 0) return "none";
    if (!ptePresent(pte)) return "swap";
    return pteWrite(pte) ? "rw" : "ro";
  }

  states(page: number, pages: number, mm = this.t.mm): string {
    return Array.from({ length: pages }, (_, i) => this.state(page + i, mm)).join(" ");
  }

  pfn(page: number, mm = this.t.mm): number {
    return ptePfn(this.pte(page, mm));
  }
}

function rangeOf(start: number, end: number): string {
  if (start === 0 && end >= 2 ** 63) return "all";
  return `${start / PAGE_SIZE - BASE}-${end / PAGE_SIZE - BASE}`;
}
