import { type BusOptions, type BusRules, NotifierBus } from "@mmu-notifier/bus";
import { type Lock, lockAt, lockClass, type Memory, Scheduler } from "@mmu-notifier/steps";
import { Observable, type Subscriber } from "rxjs";
import { AnonVmas } from "./anon-vma.js";
import type { Architecture } from "./arch/architecture.js";
import { PteOps } from "./arch/pte-ops.js";
import { DiskReads } from "./files/disk-reads.js";
import { Files } from "./file.js";
import { FOUR_LEVEL, type Geometry } from "./geometry.js";
import { HugeAnonOrders } from "./huge/anon-orders.js";
import { HugetlbPool } from "./hugetlb/hugetlb-pool.js";
import { DEFAULT_CONFIG, type KernelConfig } from "./kernel-config.js";
import type { KernelEvent } from "./kernel-event.js";
import type { KernelProfile } from "./kernel-profile.js";
import { Mms } from "./mm.js";
import { Pages } from "./page.js";
import { PageTables } from "./page-table.js";
import { Swap } from "./swap.js";
import { CpuTlbs } from "./tlb/cpu-tlb.js";
import { Dvm } from "./tlb/dvm.js";
import { Userfaultfds } from "./userfaultfd.js";
import { Vmas } from "./vma.js";

const MM_ALL_LOCKS_CLASS = lockClass("mm_all_locks_mutex", "mutex");

/** What a kernel is built from. */
export interface KernelOptions {
  readonly memory: Memory;
  readonly profile: KernelProfile;
  readonly arch: Architecture;
  readonly geometry?: Geometry;
  readonly config?: Partial<KernelConfig>;
  /** What differs from the profile on the bus, and the bus's own settings: for a checker that wants old bugs or small numbers. */
  readonly bus?: BusOptions & { readonly rules?: Partial<BusRules> };
}

/**
 * One booted machine: the tables that all paths work on, and the rules of its kernel and architecture. Paths are functions
 * that take it first.
 *
 * @public
 */
export class Kernel {
  readonly memory: Memory;
  readonly profile: KernelProfile;
  readonly arch: Architecture;
  readonly config: KernelConfig;
  readonly pte: PteOps;
  readonly tables: PageTables;
  readonly pages: Pages;
  readonly vmas: Vmas;
  readonly mms: Mms;
  readonly files: Files;
  /** What disks were asked for and have not delivered. */
  readonly diskReads: DiskReads;
  readonly anonVmas: AnonVmas;
  readonly swap: Swap;
  readonly uffds: Userfaultfds;
  readonly hugetlb: HugetlbPool;
  /** Sizes of anonymous folios below the PMD's that are enabled. */
  readonly anonOrders: HugeAnonOrders;
  readonly bus: NotifierBus;
  /** TLBs of the CPUs. */
  readonly tlbs: CpuTlbs;
  /** The interconnect that carries broadcast TLB maintenance to other agents. */
  readonly dvm: Dvm;
  /** Serializes mm_take_all_locks(). */
  readonly mmAllLocksMutex: Lock;
  readonly scheduler = new Scheduler();
  /** What happens, for observers; costs nothing while nobody is subscribed. */
  readonly events: Observable<KernelEvent>;
  readonly #observers: Subscriber<KernelEvent>[] = [];

  constructor({ memory, profile, arch, geometry = FOUR_LEVEL, config = {}, bus = {} }: KernelOptions) {
    this.memory = memory;
    this.profile = profile;
    this.arch = arch;
    this.config = { ...DEFAULT_CONFIG, ...config };
    this.pte = new PteOps(arch, {
      mkwriteNeedsDirty: profile.arm64MkwriteNeedsDirty,
      softDirty: this.config.softDirty,
      uffdWp: !arch.arm64 || profile.arm64UffdWp === "works",
      version: profile.version,
    });
    this.tables = new PageTables(memory, geometry);
    this.pages = new Pages(memory, this.config.lastFreedFirst);
    this.vmas = new Vmas(memory);
    this.mms = new Mms(memory);
    this.files = new Files(memory);
    this.diskReads = new DiskReads(memory);
    this.anonVmas = new AnonVmas(memory);
    this.swap = new Swap(memory);
    this.uffds = new Userfaultfds(memory);
    this.hugetlb = new HugetlbPool(memory, this.config.hugetlbPages);
    this.anonOrders = new HugeAnonOrders(memory);
    const rules: BusRules = {
      hook: profile.hook,
      hookFromRangeEnd: profile.hookFromRangeEnd,
      rejectsMixedOps: profile.rejectsMixedOps,
      hasChangePte: profile.hasChangePte,
      hasUpgradeEvent: profile.upgradeEvent !== undefined,
      ...bus.rules,
    };
    this.bus = new NotifierBus(memory, rules, bus);
    this.tlbs = new CpuTlbs(memory, this.config.cpus, this.config.cpuTlbEntries);
    this.dvm = new Dvm();
    const global = memory.segment("global locks", 4, 1);
    this.mmAllLocksMutex = lockAt(MM_ALL_LOCKS_CLASS, global, global.alloc() * 4 + 1);
    this.events = new Observable((subscriber) => {
      this.#observers.push(subscriber);
      return () => this.#observers.splice(this.#observers.indexOf(subscriber), 1);
    });
  }

  /** True while somebody watches {@link events}; test it before building an event. */
  get observed(): boolean {
    return this.#observers.length > 0;
  }

  /** Hands an event to the observers; to be called inside the step that did it. */
  emit(event: KernelEvent): void {
    for (const observer of this.#observers) observer.next(event);
  }
}
