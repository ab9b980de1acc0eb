import { invalidations, ranges } from "@mmu-notifier/bus";
import { downRead, Memory, type Path, step, upRead } from "@mmu-notifier/steps";
import {
  type Access,
  architecture,
  createMm,
  decodeSignal,
  FOUR_LEVEL,
  type Geometry,
  getUserPages,
  type GupFlags,
  INODE_DAX,
  INODE_DISK,
  INODE_HUGETLB,
  INODE_PFNMAP,
  INODE_SHMEM,
  Kernel,
  kernelAccess,
  type KernelConfig,
  type KernelEvent,
  kernelProfile,
  type KernelProfile,
  mmput,
  PAGE_SIZE,
  PG_DEVICE,
  PG_LRU,
  PG_UPTODATE,
  type Pte,
  ptePfn,
  sysFork,
  sysMmap,
  sysMprotect,
  sysMunmap,
  type Thread,
  userAccess,
} from "@mmu-notifier/core";

/** First page of the memory that tests map: 2 MiB aligned. */
export const BASE = 0x2_0000_0000;

const MAP_SHARED = 0x1;
const MAP_PRIVATE = 0x2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_HUGETLB = 0x4_0000;

/** What a test maps; pages count from {@link BASE}. */
export interface Mapping {
  readonly start: number;
  readonly pages: number;
  readonly prot?: "rw" | "r" | "none" | "rx";
  readonly shared?: boolean;
  readonly file?: number;
  readonly hugetlb?: boolean;
  readonly noreserve?: boolean;
  readonly offset?: number;
}

const PROT = { rw: 3, r: 1, none: 0, rx: 5 } as const;

/**
 * A kernel with one process, a mirroring and a table-sharing subscriber, and a timeline of what can be seen from outside:
 * `start CLEAR 0..1`, `lock`, `clear`, `flush 0..1`, `hook 0..1`, `change_pte 0`, `set`, `gain 0..1`, `unlock`, `end CLEAR 0..1`.
 * A range_end that skips the hook is `only_end`.
 */
export class FaultMachine {
  readonly k: Kernel;
  readonly t: Thread;
  readonly events: KernelEvent[] = [];
  /** Page that tests call 0. */
  readonly base: number;
  readonly #timeline: string[] = [];

  constructor(
    profile: string | KernelProfile,
    arch: string,
    options: {
      readonly config?: Partial<KernelConfig>;
      readonly geometry?: Geometry;
      readonly subscribe?: boolean;
      readonly base?: number;
    } = {},
  ) {
    const { config = {}, geometry = FOUR_LEVEL, subscribe = true, base = BASE } = options;
    this.base = base;
    this.k = new Kernel({
      memory: new Memory(),
      profile: typeof profile === "string" ? kernelProfile(profile) : profile,
      arch: architecture(arch),
      geometry,
      config,
    });
    const { k } = this;
    this.t = { cpu: 0, mm: createMm(k) };
    const { mm } = this.t;
    if (subscribe) {
      k.bus.notifications(mm).pipe(ranges()).subscribe();
      k.bus
        .notifications(mm)
        .pipe(invalidations())
        .subscribe(({ start, end }) => this.#timeline.push(`hook ${this.#bytes(start, end)}`));
    }
    k.bus.calls.subscribe((call) => {
      if (call.mm !== mm) return;
      const range = this.#bytes(call.start, call.end);
      const event = call.event?.replace("MMU_NOTIFY_", "");
      switch (call.call) {
        case "invalidate_range_start":
          this.#timeline.push(`start ${event} ${range}`);
          break;
        case "invalidate_range_end":
          this.#timeline.push(`${call.onlyEnd === true ? "only_end" : "end"} ${event} ${range}`);
          break;
        case "change_pte":
          this.#timeline.push(`change_pte ${call.start / PAGE_SIZE - this.base}`);
          break;
        default:
          break;
      }
    });
    k.events.subscribe((event) => {
      this.events.push(event);
      if (event.kind === "tlb-flush" && event.mm === mm) {
        const range = event.pages === -1 ? "all" : `${event.start - this.base}..${event.end - this.base}`;
        this.#timeline.push(`flush ${range}${event.scope === "local" ? " local" : ""}`);
      } else if (event.kind === "upgrade" && event.mm === mm) {
        this.#timeline.push(`gain ${event.vpn - this.base}..${event.vpn - this.base + event.pages}`);
      }
    });
    k.scheduler.observe((_, { label }) => {
      if (label.startsWith("spin_lock(ptl")) this.#timeline.push("lock");
      else if (label.startsWith("spin_unlock(ptl")) this.#timeline.push("unlock");
      else if (label.startsWith("set_pte_at")) this.#timeline.push("set");
      else if (label === "ptep_get_and_clear") this.#timeline.push("clear");
    });
  }

  #bytes(start: number, end: number): string {
    return end >= 2 ** 63 ? "all" : `${start / PAGE_SIZE - this.base}..${end / PAGE_SIZE - this.base}`;
  }

  run<R>(path: Path<R>): R {
    return this.k.scheduler.run(path);
  }

  /** What `action` does, in order. */
  timeline(action: () => void): string[] {
    this.#timeline.length = 0;
    action();
    return [...this.#timeline];
  }

  /** The timeline without page-table locks and plain stores of a new page. */
  told(action: () => void): string[] {
    return this.timeline(action).filter(
      (what) => what !== "lock" && what !== "unlock" && what !== "set" && what !== "clear",
    );
  }

  map({
    start,
    pages,
    prot = "rw",
    shared = false,
    file,
    hugetlb = false,
    noreserve = false,
    offset = 0,
  }: Mapping): void {
    const flags =
      MAP_FIXED |
      (shared ? MAP_SHARED : MAP_PRIVATE) |
      (file === undefined ? MAP_ANONYMOUS : 0) |
      (hugetlb ? MAP_HUGETLB : 0) |
      (noreserve ? MAP_NORESERVE : 0);
    const result = this.run(
      sysMmap(this.k, this.t, {
        address: (this.base + start) * PAGE_SIZE,
        length: pages * PAGE_SIZE,
        prot: PROT[prot],
        flags,
        offset: offset * PAGE_SIZE,
        ...(file === undefined ? {} : { file }),
      }),
    );
    if (result < 0) throw new Error(`mmap: ${result}`);
  }

  protect(start: number, pages: number, prot: keyof typeof PROT): void {
    this.run(sysMprotect(this.k, this.t, (this.base + start) * PAGE_SIZE, pages * PAGE_SIZE, PROT[prot]));
  }

  unmap(start: number, pages: number): void {
    this.run(sysMunmap(this.k, this.t, (this.base + start) * PAGE_SIZE, pages * PAGE_SIZE));
  }

  /** The byte that was read or written, or `SEGV 2`, `BUS 2`. */
  access(page: number, access: Access, value = 0, t: Thread = this.t): number | string {
    const result = this.run(userAccess(this.k, t, this.base + page, access, value));
    const signal = decodeSignal(result);
    if (signal === undefined) return result;
    return `${signal.signal === 11 ? "SEGV" : signal.signal === 7 ? "BUS" : "KILL"} ${signal.code}`;
  }

  read(page: number, t: Thread = this.t): number | string {
    return this.access(page, "read", 0, t);
  }

  write(page: number, value = 1, t: Thread = this.t): number | string {
    return this.access(page, "write", value, t);
  }

  kernelRead(page: number): number {
    return this.run(kernelAccess(this.k, this.t, this.base + page, "read"));
  }

  kernelWrite(page: number, value: number): number {
    return this.run(kernelAccess(this.k, this.t, this.base + page, "write", value));
  }

  /** One page through GUP with mmap_lock held around it. */
  gup(page: number, flags: GupFlags): number {
    const { k, t } = this;
    const vpn = this.base + page;
    function* locked(): Path<number> {
      yield downRead(k.mms.mmapLock(t.mm));
      const pfn = yield* getUserPages(k, t.cpu, t.mm, vpn, flags);
      yield upRead(k.mms.mmapLock(t.mm));
      return pfn;
    }
    return this.run(locked());
  }

  fork(): Thread {
    return { cpu: 0, mm: this.run(sysFork(this.k, this.t)) };
  }

  reap(child: Thread): void {
    this.run(mmput(this.k, child));
  }

  /** Changes flags of the VMA of a page, as madvise(2) would. */
  advise(page: number, set: number, clear = 0): void {
    const vma = this.vma(page);
    this.k.vmas.setFlags(vma, (this.k.vmas.flags(vma) | set) & ~clear);
  }

  vma(page: number): number {
    return this.k.vmas.lookup(this.k.mms.vmaList(this.t.mm), this.base + page);
  }

  /** Where the leaf entry of a page lies; 0 for none. */
  ptep(page: number, t: Thread = this.t): number {
    return this.k.tables.leaf(this.k.mms.pgd(t.mm), this.base + page);
  }

  pte(page: number, t: Thread = this.t): Pte {
    const ptep = this.ptep(page, t);
    return ptep === 0 ? 0 : this.k.tables.get(ptep);
  }

  setPte(page: number, pte: Pte): void {
    this.k.tables.set(this.ptep(page), pte);
  }

  /** The frame that translates a page, 0 when nothing is mapped. */
  pfn(page: number, t: Thread = this.t): number {
    const ptep = this.ptep(page, t);
    if (ptep === 0) return 0;
    const span = this.k.tables.span[this.k.tables.levelOf(ptep)]!;
    return ptePfn(this.k.tables.get(ptep)) + (span > 1 ? (this.base + page) % span : 0);
  }

  /** Does something to memory outside of any task, between two operations. */
  poke(change: () => void): void {
    function* once(): Path {
      yield step("poke", () => {
        change();
        return 0;
      });
    }
    this.run(once());
  }

  shmem(pages: number): number {
    return this.k.files.open(this.k.files.createInode(INODE_SHMEM, pages), 3);
  }

  /** A disk file of `pages` pages; the first `cached` are in the page cache, clean, and hold 100 + index. */
  disk(pages: number, cached = pages): number {
    const { k } = this;
    const inode = k.files.createInode(INODE_DISK, pages);
    for (let index = 0; index < pages; index++) {
      k.files.setStored(inode, index, 100 + index);
      if (index >= cached) continue;
      const pfn = k.pages.alloc(0, PG_UPTODATE | PG_LRU);
      k.pages.setContent(pfn, 100 + index);
      k.pages.setMapping(pfn, inode);
      k.pages.setIndex(pfn, index);
      k.files.setCached(inode, index, pfn);
    }
    return k.files.open(inode, 3);
  }

  hugetlbfs(pages: number): number {
    return this.k.files.open(this.k.files.createInode(INODE_HUGETLB, pages), 3);
  }

  /** A DAX file or a device without struct pages, whose frames are consecutive and hold 50 + index. */
  frames(kind: "dax" | "pfnmap", pages: number, huge = false): number {
    const { k } = this;
    const inode = k.files.createInode(kind === "dax" ? INODE_DAX : INODE_PFNMAP, pages);
    const head = huge ? k.pages.alloc(k.tables.geometry.bits[0], PG_DEVICE) : 0;
    for (let index = 0; index < pages; index++) {
      const pfn = huge ? head + index : k.pages.alloc(0, PG_DEVICE);
      k.pages.setContent(pfn, 50 + index);
      k.files.setStored(inode, index, pfn);
    }
    return k.files.open(inode, 3);
  }
}
