import { NOTIFICATION_PHASES } from "@mmu-notifier/bus";
import type { Lock, Step } from "@mmu-notifier/steps";
import {
  type AccessRequest,
  type BindingContext,
  defineSecondaryMmu,
  F_PERMISSION,
  F_TRANSLATION,
  FAULT_ABORT,
  FAULT_RETRY,
  type GfnRange,
  GUP_WRITABLE,
  InFlight,
  InvalidateCounters,
  LEAF_READ,
  LEAF_WRITE,
  leafAllows,
  type MmuNotification,
  packLeaf,
  pageRange,
  type Path,
  phases,
  type SecondaryMmuDefinition,
  ShadowTable,
  SPTE_PRESENT,
  SPTE_WRITABLE,
  spinLock,
  spinUnlock,
  spinUntil,
  step,
} from "@mmu-notifier/sdk";

/** What keeps faults and invalidations apart; {@link InvalidateCounters} is the right one. */
export type RetryCounters = Pick<InvalidateCounters, "mmuLock" | "seq" | "inProgress"> & {
  begin(ranges: readonly GfnRange[]): void;
  end(): void;
  retry(seq: number, gfn: number): boolean;
} & Partial<Pick<InvalidateCounters, "mnActive" | "freeze" | "thaw">>;

/** See {@link ShadowRules.slot}. */
interface SlotRules {
  /** The slot is there; in steps. */
  exists(): boolean;
  /** Counts notifier calls between start and end, so that the slot can wait for none. */
  readonly freezes: boolean;
}

/** What a driver with a table of its own does differently. */
export interface ShadowRules {
  /** Check under the lock, before an entry is installed, whether an invalidation came since the lookup. @defaultValue true */
  readonly retryCheck?: boolean;
  /** When the sequence is sampled. @defaultValue `before-lookup` */
  readonly samples?: "before-lookup" | "after-lookup";
  /** @defaultValue {@link InvalidateCounters} with two bits of sequence */
  readonly counters?: (context: BindingContext<ShadowMmu, Record<string, never>>) => RetryCounters;
  /** Notifications that it lets pass, in start and end alike. May look at event and owner only. */
  readonly ignores?: (notification: MmuNotification) => boolean;
  /** The device's memory is a slot that may come and go: start and end do nothing while it is not there. */
  readonly slot?: SlotRules;
  /** Work in place of zapping, for starts of some events; the matching ends are ignored. */
  readonly answers?: (mmu: ShadowMmu, notification: MmuNotification) => Path | undefined;
  /** Work for further notifications, by phase. */
  readonly also?: Partial<Record<MmuNotification["phase"], (mmu: ShadowMmu, notification: MmuNotification) => void>>;
}

const TAG = 0;
/** Result of sampling: an invalidation of the page is under way. */
const BUSY = -1;

/** The table, its lock and its users, for scenes that look inside. */
export class ShadowMmu {
  readonly table: ShadowTable;
  readonly inFlight: InFlight;
  counters!: RetryCounters;

  constructor(context: ConstructorParameters<typeof ShadowTable>[0]) {
    this.table = new ShadowTable(context);
    this.inFlight = new InFlight(context.memory, "shadow");
  }

  get lock(): Lock {
    return this.counters.mmuLock;
  }

  /** Removes the entries of [start, end) and waits until no access uses one of them. Under the lock. */
  *zap(start: number, end: number, before: () => void = () => undefined): Path {
    const count = yield step(`zap spte ${start} to ${end - 1}`, () => {
      before();
      this.inFlight.cover(TAG, start, end);
      return this.table.zap(start, end);
    });
    if (count > 0) yield spinUntil("kvm_flush_remote_tlbs", () => this.inFlight.drained);
  }
}

/** A driver in the manner of KVM: a page table of its own, filled by faults, kept true by start and end. */
export function shadowMmu(rules: ShadowRules = {}): SecondaryMmuDefinition<ShadowMmu> {
  const { retryCheck = true, samples = "before-lookup", answers, ignores, slot, also = {} } = rules;
  const hears = ["start", "end", ...NOTIFICATION_PHASES.filter((phase) => also[phase] !== undefined)] as const;
  return defineSecondaryMmu<ShadowMmu>({
    name: "shadow-mmu",
    sdk: 1,
    summary: "a table of its own with the retry protocol",
    declares: {
      pageTable: "mirror",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: true,
      reachedByBroadcast: [],
      filters: [],
    },
    device: (context) => new ShadowMmu(context),
    create(context) {
      const { device: mmu, faults, notifications } = context;
      const { inFlight, table } = mmu;
      const counters = rules.counters?.(context) ?? new InvalidateCounters(context, { seqBits: 2 });
      mmu.counters = counters;
      // As KVM does: no lookup, and no fight for the lock, while the page is being invalidated.
      const sample = (vpn: number): Step =>
        step("sample mmu_invalidate_seq", () => (counters.retry(counters.seq, vpn) ? BUSY : counters.seq));
      const leafOf = (vpn: number): number => {
        const spte = table.get(vpn);
        if ((spte & SPTE_PRESENT) === 0) return F_TRANSLATION;
        return packLeaf(ShadowTable.pfn(spte), 0, LEAF_READ | ((spte & SPTE_WRITABLE) === 0 ? 0 : LEAF_WRITE));
      };
      return {
        translation: {
          *translate(request: AccessRequest) {
            const { vpn, write } = request;
            const found = yield step("walk of the shadow table", () => {
              const leaf = leafOf(vpn);
              if (leaf <= 0) return leaf;
              return leafAllows(leaf, write) ? inFlight.use(TAG, vpn) * 2 ** 32 + leaf : F_PERMISSION;
            });
            if (found <= 0) return found;
            request.hold(inFlight, Math.floor(found / 2 ** 32));
            return found % 2 ** 32;
          },
        },
        connection: notifications.pipe(phases(...hears)).subscribe((notification: MmuNotification) => {
          const { phase } = notification;
          const work = also[phase];
          if (work !== undefined) {
            work(mmu, notification);
            return;
          }
          const answer = answers?.(mmu, notification);
          if (answer !== undefined) {
            if (phase === "start") notification.waitUntil(() => answer);
            return;
          }
          if (ignores?.(notification) === true) return;
          notification.waitUntil(function* () {
            const range = pageRange(notification);
            const covered =
              slot === undefined
                ? 1
                : yield step("memslots of the range", () => {
                    if (slot.freezes && phase === "start") counters.freeze?.();
                    return slot.exists() ? 1 : 0;
                  });
            if (covered !== 0) {
              yield spinLock(counters.mmuLock);
              if (phase === "start") yield* mmu.zap(range.start, range.end, () => counters.begin([range]));
              else
                yield step("mmu_invalidate_seq++", () => {
                  counters.end();
                  return 0;
                });
              yield spinUnlock(counters.mmuLock);
            }
            if (slot?.freezes === true && phase === "end")
              yield step("mn_active_invalidate_count--", () => {
                counters.thaw?.();
                return 0;
              });
          });
        }),
        fault: {
          name: "software",
          *handle({ vpn, write }) {
            const early = samples === "before-lookup" && retryCheck ? yield sample(vpn) : 0;
            if (early === BUSY) return FAULT_RETRY;
            const found = yield* faults.getUserPages(vpn, { write });
            const seq = samples === "after-lookup" ? yield sample(vpn) : early;
            yield spinLock(counters.mmuLock);
            const done = yield step(`install spte ${vpn}`, () => {
              if (found < 0) return FAULT_ABORT;
              if (retryCheck && counters.retry(seq, vpn)) return FAULT_RETRY;
              const hostWritable = write || (found & GUP_WRITABLE) !== 0;
              table.install(vpn, Math.floor(found / 2), { hostWritable, write });
              return FAULT_RETRY;
            });
            yield spinUnlock(counters.mmuLock);
            return done;
          },
        },
        *unbind() {
          yield spinLock(counters.mmuLock);
          yield* mmu.zap(0, Infinity);
          yield spinUnlock(counters.mmuLock);
        },
        entries: () =>
          table.entries().map(({ gfn, spte }) => ({
            where: "spte",
            vpn: gfn,
            pages: 1,
            pfn: ShadowTable.pfn(spte),
            read: (spte & SPTE_PRESENT) !== 0,
            write: (spte & SPTE_WRITABLE) !== 0,
          })),
      };
    },
  });
}
