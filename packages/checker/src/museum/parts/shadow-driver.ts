import { NOTIFICATION_PHASES } from "@mmu-notifier/bus";
import {
  type Binding,
  type BindingContext,
  defineSecondaryMmu,
  FAULT_ABORT,
  FAULT_RETRY,
  GUP_WRITABLE,
  InvalidateCounters,
  type MmuNotification,
  pageRange,
  phases,
  type SecondaryMmuDefinition,
} from "@mmu-notifier/sdk";
import { type Path, spinLock, spinUnlock, type Step, step } from "@mmu-notifier/steps";
import { type RetryCounters, ShadowMmu } from "./shadow-mmu.js";

/** The notifications of an mm after an operator. */
type Notifications = ReturnType<ReturnType<typeof phases>>;

/** What a driver with a table of its own does differently. */
export interface ShadowRules {
  /** Check under the lock, before an entry is installed, whether an invalidation came since the lookup. @defaultValue true */
  readonly retryCheck?: boolean;
  /** When the sequence is sampled. @defaultValue `before-lookup` */
  readonly samples?: "before-lookup" | "after-lookup";
  /** @defaultValue InvalidateCounters with two bits of sequence */
  readonly counters?: (context: BindingContext<undefined, Record<string, never>>) => RetryCounters;
  /** The device's processors have a TLB of their own. @defaultValue false */
  readonly tlb?: boolean;
  /** Notifications that it lets pass, in start and end alike. May look at event and owner only. */
  readonly ignores?: (notification: MmuNotification) => boolean;
  /** The device's memory is a slot that may come and go: start and end do nothing while it is not there. */
  readonly slot?: SlotRules;
  /** Work for a start or an end in place of counting and zapping; undefined for those that it has nothing special for. */
  readonly answers?: (mmu: ShadowMmu, notification: MmuNotification) => Path | undefined;
  /** Work for further notifications, by phase. */
  readonly also?: Partial<Record<MmuNotification["phase"], (mmu: ShadowMmu, notification: MmuNotification) => Path>>;
  /** How it joins the list, for scenes that register in a path. @defaultValue at once */
  readonly joins?: (
    stream: Notifications,
    observer: (notification: MmuNotification) => void,
  ) => NonNullable<Binding["connection"]>;
  /** Told the device's parts, for scenes that look inside. */
  readonly made?: (mmu: ShadowMmu) => void;
}

/** See {@link ShadowRules.slot}. */
interface SlotRules {
  /** The slot is there; in steps. */
  exists(): boolean;
  /** Counts notifier calls between start and end, so that the slot can wait for none. */
  readonly freezes: boolean;
}

/** Result of sampling: an invalidation of the page is under way. */
const BUSY = -1;

/** A driver in the manner of KVM: a page table of its own, filled by faults, kept true by start and end. */
export function shadowMmu(rules: ShadowRules = {}): SecondaryMmuDefinition {
  const { also = {}, joins = (stream, observer) => stream.subscribe(observer) } = rules;
  const hears = ["start", "end", ...NOTIFICATION_PHASES.filter((phase) => also[phase] !== undefined)] as const;
  return defineSecondaryMmu({
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
    create(context) {
      const counters = rules.counters?.(context) ?? new InvalidateCounters(context, { seqBits: 2 });
      const mmu = new ShadowMmu(context, counters, rules.tlb ?? false);
      rules.made?.(mmu);
      return {
        translation: mmu.translation,
        connection: joins(context.notifications.pipe(phases(...hears)), (notification) =>
          notified(rules, mmu, notification),
        ),
        fault: { name: "software", handle: ({ vpn, write }) => fault(rules, mmu, context, vpn, write) },
        *unbind() {
          yield spinLock(mmu.lock);
          yield* mmu.zap(0, Infinity);
          yield spinUnlock(mmu.lock);
        },
        entries: () => mmu.entries(),
      };
    },
  });
}

function notified(rules: ShadowRules, mmu: ShadowMmu, notification: MmuNotification): void {
  const { also = {}, answers, ignores } = rules;
  const { phase } = notification;
  const other = also[phase];
  const answer = other === undefined ? answers?.(mmu, notification) : other(mmu, notification);
  if (answer !== undefined) notification.waitUntil(() => answer);
  else if (ignores?.(notification) !== true) notification.waitUntil(() => startOrEnd(rules, mmu, notification));
}

function* startOrEnd({ slot }: ShadowRules, mmu: ShadowMmu, notification: MmuNotification): Path {
  const { counters, lock } = mmu;
  const range = pageRange(notification);
  const starts = notification.phase === "start";
  const covered =
    slot === undefined
      ? 1
      : yield step("memslots of the range", () => {
          if (slot.freezes && starts) counters.freeze?.();
          return slot.exists() ? 1 : 0;
        });
  if (covered !== 0) {
    yield spinLock(lock);
    if (starts) yield* mmu.zap(range.start, range.end, () => counters.begin([range]));
    else
      yield step("mmu_invalidate_seq++", () => {
        counters.end();
        return 0;
      });
    yield spinUnlock(lock);
  }
  if (slot?.freezes === true && !starts)
    yield step("mn_active_invalidate_count--", () => {
      counters.thaw?.();
      return 0;
    });
}

function* fault(
  { retryCheck = true, samples = "before-lookup" }: ShadowRules,
  mmu: ShadowMmu,
  { faults }: Pick<BindingContext<unknown, unknown>, "faults">,
  vpn: number,
  write: boolean,
): Path<number> {
  const { counters, lock, table } = mmu;
  const early = samples === "before-lookup" && retryCheck ? yield sample(counters, vpn) : 0;
  if (early === BUSY) return FAULT_RETRY;
  const found = yield* faults.getUserPages(vpn, { write });
  const seq = samples === "after-lookup" ? yield sample(counters, vpn) : early;
  yield spinLock(lock);
  const done = yield step(`install spte ${vpn}`, () => {
    if (found < 0) return FAULT_ABORT;
    if (retryCheck && counters.retry(seq, vpn)) return FAULT_RETRY;
    const hostWritable = write || (found & GUP_WRITABLE) !== 0;
    table.install(vpn, Math.floor(found / 2), { hostWritable, write });
    mmu.tlb?.invalidateVA(0, vpn);
    return FAULT_RETRY;
  });
  yield spinUnlock(lock);
  return done;
}

/** As KVM does: no lookup, and no fight for the lock, while the page is being invalidated. */
function sample(counters: RetryCounters, vpn: number): Step {
  return step("sample mmu_invalidate_seq", () => (counters.retry(counters.seq, vpn) ? BUSY : counters.seq));
}
