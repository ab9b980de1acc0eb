import {
  defineSecondaryMmu,
  type BindingContext,
  type Declarations,
  type DeviceFault,
  FAULT_ABORT,
  FAULT_RETRY,
  GUP_WRITABLE,
  InvalidateCounters,
  lockAt,
  lockClass,
  type MmuNotification,
  mutexLock,
  mutexUnlock,
  pageRange,
  type Path,
  phases,
  ShadowStage,
  ShadowTable,
  step,
} from "@mmu-notifier/sdk";

const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";
const BUSY = -1;
const LOCK_CLASS = lockClass("trial mirror lock", "mutex");

/** The habits of drivers that the questions about the patch ask about. */
interface TrialMirrorOptions {
  /** What it does when an upgrade is announced; `zaps` is what a driver does that does not look at the event. */
  readonly onUpgrade: "zaps" | "widens" | "ignores";
  /** Calls handle_mm_fault() for every fault of its device, whether or not the page table allows the access already. */
  readonly alwaysFaults: boolean;
  /** Holds the lock that its callbacks take while it resolves a fault. */
  readonly holdsLock: boolean;
}

/** A mirror in the style of KVM with a switch for each of the habits. */
export const trialMirror = defineSecondaryMmu<undefined, TrialMirrorOptions>({
  name: "trial-mirror",
  sdk: 1,
  summary: "a mirror for the questions about the patch, with a switch for each habit that they ask about",
  options: { onUpgrade: "zaps", alwaysFaults: false, holdsLock: false },
  declares: (_host, { onUpgrade }): Declarations => ({
    pageTable: "mirror",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: true,
    reachedByBroadcast: [],
    filters: onUpgrade === "ignores" ? [UPGRADE] : [],
    nonBlockable: "proceeds",
    maySleep: true,
  }),
  create: (context) => {
    const mirror = new TrialMirror(context);
    return {
      translation: mirror.stage,
      connection: context.notifications
        .pipe(phases("start", "end", "release"))
        .subscribe((notification) => mirror.notified(notification)),
      fault: { name: "software", handle: (fault) => mirror.fault(fault) },
      unbind: () => mirror.zap(0, Infinity),
      entries: () => mirror.stage.entries(),
    };
  },
});

class TrialMirror {
  readonly stage: ShadowStage;
  readonly #context: BindingContext<undefined, TrialMirrorOptions>;
  readonly #counters: InvalidateCounters;
  readonly #lock;

  constructor(context: BindingContext<undefined, TrialMirrorOptions>) {
    this.#context = context;
    this.stage = new ShadowStage(context, "mirror");
    this.#counters = new InvalidateCounters(context, { seqBits: 2 });
    const words = context.memory.words("lock", 2);
    this.#lock = lockAt(LOCK_CLASS, words.segment, words.base);
  }

  notified(notification: MmuNotification): void {
    const { event, phase } = notification;
    const { start, end } = pageRange(notification);
    const { onUpgrade } = this.#context.options;
    if (event === UPGRADE && onUpgrade !== "zaps") {
      if (onUpgrade === "widens" && phase === "start") notification.waitUntil(() => this.#widen(start, end));
    } else if (phase === "end") notification.waitUntil(() => this.#end());
    else notification.waitUntil(() => this.#start(start, end, phase === "start"));
  }

  *fault(fault: DeviceFault): Path<number> {
    const { vpn, write, code } = fault;
    const { events, faults, options } = this.#context;
    const seq = yield step("read the sequence", () => {
      if (events.observed) events.emit({ kind: "fault", code, vpn, write });
      return this.#counters.retry(this.#counters.seq, vpn) ? BUSY : this.#counters.seq;
    });
    if (seq === BUSY) return FAULT_RETRY;
    if (options.holdsLock) yield mutexLock(this.#lock);
    if (options.alwaysFaults) yield* faults.handleMmFault(vpn, write);
    const frame = yield* faults.getUserPages(vpn, { write });
    if (!options.holdsLock) yield mutexLock(this.#lock);
    if (frame >= 0) yield step("install", () => this.#install(vpn, frame, write, seq));
    yield mutexUnlock(this.#lock);
    return frame < 0 ? FAULT_ABORT : FAULT_RETRY;
  }

  *zap(start: number, end: number): Path {
    yield mutexLock(this.#lock);
    yield* this.stage.zap(start, end);
    yield mutexUnlock(this.#lock);
  }

  #install(vpn: number, frame: number, write: boolean, seq: number): number {
    if (this.#counters.retry(seq, vpn)) return BUSY;
    const hostWritable = write || (frame & GUP_WRITABLE) !== 0;
    this.stage.table.install(vpn, Math.floor(frame / 2), { hostWritable, write });
    return 0;
  }

  *#start(start: number, end: number, counts: boolean): Path {
    yield mutexLock(this.#lock);
    if (counts) yield step("invalidations++", () => (this.#counters.begin([{ start, end }]), 0));
    yield* this.stage.zap(start, end);
    yield mutexUnlock(this.#lock);
  }

  *#end(): Path {
    yield mutexLock(this.#lock);
    yield step("sequence++, invalidations--", () => (this.#counters.end(), 0));
    yield mutexUnlock(this.#lock);
  }

  /** What the patch forbids: the entry is made writable because somebody said that the page table's is. */
  *#widen(start: number, end: number): Path {
    yield mutexLock(this.#lock);
    yield step("make entries writable", () => {
      const { table } = this.stage;
      for (const { gfn, spte } of table.entries())
        if (gfn >= start && gfn < end) table.install(gfn, ShadowTable.pfn(spte), { hostWritable: true, write: true });
      return 0;
    });
    yield mutexUnlock(this.#lock);
  }
}
