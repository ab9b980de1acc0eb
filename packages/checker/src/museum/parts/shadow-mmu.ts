import {
  type AccessRequest,
  chain,
  F_PERMISSION,
  F_TRANSLATION,
  type GfnRange,
  type HardwareContext,
  InFlight,
  type InvalidateCounters,
  type Iotlb,
  iotlb,
  LEAF_READ,
  LEAF_WRITE,
  leafAllows,
  packLeaf,
  type SecondaryEntry,
  ShadowTable,
  SPTE_PRESENT,
  SPTE_WRITABLE,
  type Translation,
} from "@mmu-notifier/sdk";
import { type Lock, type Path, spinUntil, step } from "@mmu-notifier/steps";

/** What keeps faults and invalidations apart; InvalidateCounters is the right one. */
export type RetryCounters = Pick<InvalidateCounters, "mmuLock" | "seq" | "inProgress"> & {
  begin(ranges: readonly GfnRange[]): void;
  end(): void;
  retry(seq: number, gfn: number): boolean;
} & Partial<Pick<InvalidateCounters, "mnActive" | "freeze" | "thaw">>;

const TAG = 0;
/** An access in flight and its leaf in one result. */
const ROW = 2 ** 32;

/** A page table that a driver keeps for its device, with a TLB above it or without. */
export class ShadowMmu {
  readonly table: ShadowTable;
  /** The TLB of the device's processors. */
  readonly tlb: Iotlb | undefined;
  readonly translation: Translation;
  readonly counters: RetryCounters;
  readonly #inFlight: InFlight;

  constructor(context: HardwareContext, counters: RetryCounters, withTlb: boolean) {
    this.table = new ShadowTable(context, context.geometry.first ?? 0);
    this.counters = counters;
    this.#inFlight = new InFlight(context.memory, "shadow");
    if (!withTlb) {
      this.tlb = undefined;
      this.translation = { translate: (request) => this.#walk(request, true) };
      return;
    }
    this.tlb = iotlb(context, { name: "vcpu-tlb", sets: 1, ways: 4, hitPolicy: "fault-from-tlb" });
    this.translation = chain(
      this.tlb.stage(() => TAG, { peek: (vpn) => this.#leaf(vpn) }),
      { translate: (request) => this.#walk(request, false) },
    );
  }

  /** mmu_lock. */
  get lock(): Lock {
    return this.counters.mmuLock;
  }

  /** Removes the entries of [start, end) and waits until nobody uses one of them. Under the lock. `before` runs in the step that removes. */
  *zap(start: number, end: number, before: () => void = () => undefined): Path {
    const count = yield step(`zap spte ${start} to ${end - 1}`, () => {
      before();
      this.#inFlight.cover(TAG, start, end);
      return this.table.zap(start, end);
    });
    if (count > 0) yield* this.flush();
  }

  /** kvm_flush_remote_tlbs(): the device's processors forget their translations; waits for the last. */
  *flush(): Path {
    const { tlb } = this;
    if (tlb !== undefined) yield step("kvm_flush_remote_tlbs", () => tlb.invalidateAll());
    yield spinUntil(
      "kvm_flush_remote_tlbs: acknowledged",
      () => this.#inFlight.drained && (tlb === undefined || tlb.drained),
    );
  }

  entries(): SecondaryEntry[] {
    const rows = this.table.entries().map(({ gfn, spte }) => ({
      where: "spte" as const,
      vpn: gfn,
      pages: 1,
      pfn: ShadowTable.pfn(spte),
      read: true,
      write: (spte & SPTE_WRITABLE) !== 0,
    }));
    return [...rows, ...(this.tlb?.entries(TAG) ?? [])];
  }

  /** The hardware's walk. What it finds is tracked by the TLB above, or here. */
  *#walk(request: AccessRequest, tracks: boolean): Path<number> {
    const { held, vpn, write } = request;
    const found = yield step("walk of the shadow table", () => {
      const leaf = this.#leaf(vpn);
      const allowed = leaf > 0 && leafAllows(leaf, write);
      // What the TLB above tracks ends here; what is tracked here has not begun.
      if (!allowed && !tracks) held.end();
      if (!allowed) return leaf > 0 ? F_PERMISSION : leaf;
      return tracks ? this.#inFlight.use(TAG, vpn) * ROW + leaf : leaf;
    });
    if (found <= 0 || !tracks) return found;
    request.hold(this.#inFlight, Math.floor(found / ROW));
    return found % ROW;
  }

  #leaf(vpn: number): number {
    const spte = this.table.get(vpn);
    if ((spte & SPTE_PRESENT) === 0) return F_TRANSLATION;
    return packLeaf(ShadowTable.pfn(spte), 0, LEAF_READ | ((spte & SPTE_WRITABLE) === 0 ? 0 : LEAF_WRITE));
  }
}
