import { invalidations } from "@mmu-notifier/bus";
import { Memory, type Path, step } from "@mmu-notifier/steps";
import {
  architecture,
  type Geometry,
  Kernel,
  type KernelConfig,
  type KernelEvent,
  kernelProfile,
  mkPte,
  PMD_LEVEL,
  PTE_HUGE,
} from "@mmu-notifier/core";
import type { KernelProfile } from "@mmu-notifier/core";

/** What happened in a {@link TlbMachine}, in order: `tlbi 0..1`, `dsb ish`, `hook 0..1`, `set_pte_at 3`. */
export type Timeline = string[];

/** A kernel with one address space, one secondary MMU on its list, and a log of flushes, barriers and hook calls. */
export class TlbMachine {
  readonly k: Kernel;
  readonly mm: number;
  readonly pgd: number;
  readonly events: KernelEvent[] = [];
  readonly #timeline: Timeline = [];

  constructor(
    profile: string | KernelProfile,
    arch: string,
    options: { readonly config?: Partial<KernelConfig>; readonly geometry?: Geometry } = {},
  ) {
    const kernel = typeof profile === "string" ? kernelProfile(profile) : profile;
    this.k = new Kernel({ memory: new Memory(), profile: kernel, arch: architecture(arch), ...options });
    const { k } = this;
    this.pgd = k.tables.create(k.tables.top);
    this.mm = k.mms.alloc(this.pgd, k.vmas.createList());
    const { mm } = this;
    k.bus.attach({
      id: mm,
      mmapLock: k.mms.mmapLock(mm),
      users: () => k.mms.users(mm),
      grab: () => k.mms.addCount(mm, 1),
      drop: () => k.mms.addCount(mm, -1),
      *takeAllLocks() {
        return yield step("mm_take_all_locks", () => 0);
      },
      *dropAllLocks() {
        yield step("mm_drop_all_locks", () => 0);
      },
    });
    k.bus
      .notifications(mm)
      .pipe(invalidations())
      .subscribe(() => {});
    k.bus.calls.subscribe(({ call, start, end }) => {
      const range = end === 2 ** 64 ? (start === 0 ? "all" : `${start / 4096}..`) : `${start / 4096}..${end / 4096}`;
      if (call === "invalidate_range" || call === "arch_invalidate_secondary_tlbs")
        this.#timeline.push(`hook ${range}`);
      else this.#timeline.push(`${call} ${range}`);
    });
    k.events.subscribe((event) => {
      this.events.push(event);
      if (event.kind !== "tlb-flush") return;
      const range = event.pages === -1 ? "all" : `${event.start}..${event.end}`;
      this.#timeline.push(`tlbi ${range}${event.scope === "local" ? " local" : ""}`);
    });
    k.scheduler.observe((_, { label }) => {
      if (
        /^(dsb|wait for flush|contpte_convert|tlb_batch_pages|ptep_get_and_clear$|set_pte|ptep_set_access)/.test(label)
      )
        this.#timeline.push(label);
    });
  }

  /** Runs a path and returns its result. */
  run<R>(path: Path<R>): R {
    return this.k.scheduler.run(path);
  }

  /** Runs a path and returns what happened. */
  timeline(path: Path<unknown>): Timeline {
    this.#timeline.length = 0;
    this.run(path);
    return [...this.#timeline];
  }

  /** As {@link timeline}, flushes and hook calls only. */
  flushes(path: Path<unknown>): Timeline {
    return this.timeline(path).filter((what) => what.startsWith("tlbi") || what.startsWith("hook"));
  }

  /** Puts an entry into the tables and returns where. */
  map(vpn: number, flags: number, options: { readonly pfn?: number; readonly huge?: boolean } = {}): number {
    const { pfn = 64, huge = false } = options;
    const ptep = this.k.tables.findOrCreate(this.pgd, huge ? PMD_LEVEL : 0, vpn);
    this.k.tables.set(ptep, mkPte(pfn, huge ? flags | PTE_HUGE : flags));
    return ptep;
  }
}
