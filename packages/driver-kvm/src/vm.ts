import {
  type BindingContext,
  Iotlb,
  InvalidateCounters,
  type Memslot,
  Memslots,
  pagesPerEntry,
  type Path,
  type SecondaryEntry,
  type Segment,
  ShadowTable,
  SPTE_PRESENT,
  SPTE_WRITABLE,
  spinUntil,
  step,
  type Words,
} from "@mmu-notifier/sdk";
import type { KvmOptions } from "./config.js";
import { GfnToPfnCaches } from "./pfn-cache.js";

const RELEASED = 0;
const DIRTY_GFN = 1; // as a double: words 2 and 3
const DIRTY_STRIDE = 4;
/** Tag of the one TLB that stands for those of all vCPUs. */
export const VM_TAG = 1;

/** One virtual machine (struct kvm). */
export class Vm {
  readonly context: BindingContext<undefined, KvmOptions>;
  readonly options: KvmOptions;
  readonly memslots: Memslots;
  readonly counters: InvalidateCounters;
  readonly shadow: ShadowTable;
  /** What the vCPUs' TLBs hold. */
  readonly tlb: Iotlb;
  readonly pfnCaches: GfnToPfnCaches;
  readonly #registers: Words;
  /** Frames written since the log was last read. */
  readonly #dirty: Segment;

  constructor(context: BindingContext<undefined, KvmOptions>) {
    const { options } = context;
    this.context = context;
    this.options = options;
    this.memslots = new Memslots(context.memory);
    this.counters = new InvalidateCounters(context, { seqBits: options.seqBits });
    this.shadow = new ShadowTable(context);
    this.tlb = new Iotlb(context, { name: "vcpu-tlb", sets: 1, ways: options.tlbWays, hitPolicy: "fault-from-tlb" });
    this.pfnCaches = new GfnToPfnCaches(context, this.memslots, this.counters);
    this.#registers = context.memory.words("vm", 2);
    this.#dirty = context.memory.segment("dirty log", DIRTY_STRIDE, 2);
    for (const slot of options.memslots.length === 0 ? [wholeAddressSpace(context)] : options.memslots)
      this.memslots.add(slot);
  }

  /** The mm is gone: nothing may be mapped any more. In steps. */
  get released(): boolean {
    return this.#registers.get(RELEASED) !== 0;
  }

  setReleased(): void {
    this.#registers.set(RELEASED, 1);
  }

  /** mark_page_dirty_in_slot(); in steps. */
  logDirty(gfn: number): void {
    const { f64, used } = this.#dirty;
    for (let row = 1; row < used; row++)
      if (this.#dirty.isLive(row) && f64[(row * DIRTY_STRIDE) / 2 + DIRTY_GFN] === gfn) return;
    const row = this.#dirty.alloc();
    this.#dirty.f64[(row * DIRTY_STRIDE) / 2 + DIRTY_GFN] = gfn;
  }

  /** Takes the written frames of [start, end) off the log; in steps. */
  takeDirty(start: number, end: number): number[] {
    const taken: number[] = [];
    for (let row = this.#dirty.used - 1; row >= 1; row--) {
      const gfn = this.#dirty.f64[(row * DIRTY_STRIDE) / 2 + DIRTY_GFN]!;
      if (!this.#dirty.isLive(row) || gfn < start || gfn >= end) continue;
      taken.push(gfn);
      this.#dirty.free(row);
    }
    return taken;
  }

  /** kvm_flush_remote_tlbs(): every vCPU leaves the guest and forgets its translations. Spins until the last has. */
  *flushRemoteTlbs(): Path {
    const { costs } = this.context;
    yield step("kvm_flush_remote_tlbs", () => {
      costs.count("remoteFlushes");
      costs.count("ipis", this.options.vcpus);
      this.tlb.invalidateAll();
      return 0;
    });
    yield spinUntil("kvm_flush_remote_tlbs: acknowledged", () => this.tlb.drained);
  }

  entries(): SecondaryEntry[] {
    const shadowed = this.shadow.entries().map(({ gfn, spte }) => this.#entry(gfn, spte));
    return [...shadowed, ...this.tlb.entries(VM_TAG)];
  }

  #entry(gfn: number, spte: number): SecondaryEntry {
    return {
      where: "spte",
      vpn: this.memslots.vpnOf(gfn),
      pages: 1,
      pfn: ShadowTable.pfn(spte),
      read: (spte & SPTE_PRESENT) !== 0,
      write: (spte & SPTE_WRITABLE) !== 0,
    };
  }
}

function wholeAddressSpace({ geometry }: BindingContext<undefined, KvmOptions>): Memslot {
  return { gfn: 0, vpn: geometry.first ?? 0, pages: pagesPerEntry(geometry, geometry.bits.length) };
}
