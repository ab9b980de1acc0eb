import {
  type BusRules,
  MMU_NOTIFY_EVENTS,
  type MmuNotifyEvent,
  type NotificationPhase,
  ULONG_MAX,
} from "@mmu-notifier/bus";

/** What a subscriber does when it is called in a phase. */
export const ACTS = [
  "nothing",
  "work",
  "two works",
  "refuse",
  "refuse in work",
  "young",
  "young in work",
  "throw",
  "throw in a step",
  "sleep",
] as const;
export type Act = (typeof ACTS)[number];

/** What an interval does when it is invalidated. */
export type IntervalAct = "obey" | "refuse" | "throw";

export interface Subscriber {
  readonly name: string;
  readonly phases: readonly NotificationPhase[];
  readonly except: readonly MmuNotifyEvent[];
  readonly acts: Partial<Record<NotificationPhase, Act>>;
  /** It joins the list for everything and drops what it does not want when it is called. */
  readonly late: boolean;
}

export interface Interval {
  readonly row: number;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly act: IntervalAct;
  seq: number;
}

export interface Range {
  readonly mm: number;
  readonly start: number;
  readonly end: number;
  readonly event: MmuNotifyEvent;
  readonly owner?: number;
}

/** The task slept where it may not: the machine stops. The message is the code of the error and where it happened. */
export class Slept extends Error {}

/** An error of a subscriber that nobody took. */
export class Unclaimed extends Error {}

interface Mm {
  ready: boolean;
  hasItree: boolean;
  /** Newest first. */
  list: Subscriber[];
  /** By start, then by insertion. */
  tree: Interval[];
  /** Newest first. */
  deferred: Interval[];
  active: number;
  seq: number;
}

/** One kernel-level call as the record of calls has it. */
export interface Recorded {
  readonly call: string;
  readonly ret: number | undefined;
}

type Context = "may sleep" | "SLEEP_IN_ATOMIC" | "SLEEP_IN_NON_BLOCKABLE";

/** Members of mmu_notifier_ops. */
const CALLBACKS: Readonly<Record<NotificationPhase, string>> = {
  start: "invalidate_range_start",
  end: "invalidate_range_end",
  "invalidate-range": "invalidate_range",
  "arch-invalidate-secondary-tlbs": "arch_invalidate_secondary_tlbs",
  "change-pte": "change_pte",
  "clear-flush-young": "clear_flush_young",
  "clear-young": "clear_young",
  "test-young": "test_young",
  release: "release",
};

/** mm/mmu_notifier.c in the order in which it is written, over plain arrays: what the bus is held to. */
export class ReferenceBus {
  readonly log: string[] = [];
  readonly calls: Recorded[] = [];
  readonly #mms = new Map<number, Mm>();
  readonly #rules: BusRules;
  readonly #mask: number;
  readonly #faultsAreTaken: boolean;
  #unclaimed: string | undefined;

  constructor(rules: BusRules, seqBits: number, faultsAreTaken: boolean) {
    this.#rules = rules;
    this.#mask = 2 ** seqBits - 1;
    this.#faultsAreTaken = faultsAreTaken;
  }

  mm(number: number): Mm {
    let mm = this.#mms.get(number);
    if (mm === undefined) {
      mm = { ready: false, hasItree: false, list: [], tree: [], deferred: [], active: 0, seq: 2 };
      this.#mms.set(number, mm);
    }
    return mm;
  }

  get hook(): NotificationPhase {
    return this.#rules.hook === "invalidate_range" ? "invalidate-range" : "arch-invalidate-secondary-tlbs";
  }

  wants({ phases, except }: Subscriber, phase: NotificationPhase, event?: MmuNotifyEvent): boolean {
    return phases.includes(phase) && (event === undefined || !except.includes(event));
  }

  /** False when the kernel answers -EINVAL. */
  subscribe(number: number, subscriber: Subscriber): boolean {
    const ranged = (["start", "end"] as const).some((phase) =>
      MMU_NOTIFY_EVENTS.some((event) => this.wants(subscriber, phase, event)),
    );
    if (this.#rules.rejectsMixedOps && ranged && this.wants(subscriber, this.hook)) {
      this.log.push("WARN_MIXED_OPS");
      return false;
    }
    const mm = this.mm(number);
    mm.ready = true;
    mm.list.unshift(subscriber);
    return true;
  }

  leave(number: number, subscriber: Subscriber): void {
    const { list } = this.mm(number);
    if (list.includes(subscriber)) list.splice(list.indexOf(subscriber), 1);
  }

  unregister(number: number, subscriber: Subscriber): void {
    if (this.mm(number).list.includes(subscriber) && this.wants(subscriber, "release"))
      this.#invoke(subscriber, "release", { mm: number, start: 0, end: ULONG_MAX, flags: 1 }, "may sleep");
    this.leave(number, subscriber);
    this.#raise();
  }

  start(range: Range, blockable: boolean): number {
    const mm = this.mm(range.mm);
    if (!mm.ready) return 0;
    const flags = blockable ? 1 : 0;
    const record = (ret: number): number => {
      this.calls.push({ call: `start ${where(range)} ${flags} ${range.owner ?? 0}`, ret: ret === 0 ? undefined : ret });
      this.#raise();
      return ret;
    };
    if (mm.hasItree && !this.#invalidateIntervals(mm, range, flags)) return record(-11);
    const { event } = range;
    let refused = false;
    for (const subscriber of mm.list) {
      if (!this.wants(subscriber, "start", event)) continue;
      const answer = this.#invoke(
        subscriber,
        "start",
        { ...range, flags },
        blockable ? "may sleep" : "SLEEP_IN_NON_BLOCKABLE",
      );
      if (!answer.refused) continue;
      refused = true;
      if (blockable) this.log.push("WARN_START_FAILED_BLOCKABLE");
      if (subscriber.late || this.wants(subscriber, "end", event)) this.log.push("WARN_START_FAILED_HAS_END");
    }
    if (!refused) return record(0);
    if (this.#rules.endsAfterRefusedStart !== false)
      for (const subscriber of mm.list)
        if (this.wants(subscriber, "end", event)) this.#invoke(subscriber, "end", { ...range, flags }, "may sleep");
    if (!blockable && mm.hasItree && this.#rules.undoIntervalsOnEagain === true) this.#endIntervals(mm);
    return record(blockable ? 0 : -11);
  }

  end(range: Range, blockable: boolean, onlyEnd: boolean): void {
    const mm = this.mm(range.mm);
    if (!mm.ready) return;
    const flags = blockable ? 1 : 0;
    this.calls.push({ call: `end ${where(range)} ${flags} ${range.owner ?? 0} ${onlyEnd}`, ret: undefined });
    if (mm.hasItree) this.#endIntervals(mm);
    const { mm: number, start, end } = range;
    for (const subscriber of mm.list) {
      if (this.#rules.hookFromRangeEnd && !onlyEnd && this.wants(subscriber, this.hook))
        this.#invoke(subscriber, this.hook, { mm: number, start, end, flags: 0 }, "SLEEP_IN_ATOMIC");
      if (this.wants(subscriber, "end", range.event))
        this.#invoke(subscriber, "end", { ...range, flags }, blockable ? "may sleep" : "SLEEP_IN_NON_BLOCKABLE");
    }
    this.#raise();
  }

  /** The hook, change_pte and aging. */
  list(phase: NotificationPhase, number: number, start: number, end: number, pte?: number): number {
    const mm = this.mm(number);
    if (!mm.ready) return 0;
    let young = 0;
    for (const subscriber of mm.list) {
      if (!this.wants(subscriber, phase)) continue;
      const at = { mm: number, start, end, flags: 0, ...(pte === undefined ? {} : { pte }) };
      if (this.#invoke(subscriber, phase, at, "SLEEP_IN_ATOMIC").young) young = 1;
      if (phase === "test-young" && young === 1) break;
    }
    const aging = phase.endsWith("young");
    this.calls.push({ call: `${phase} ${number} ${start} ${end} ${pte}`, ret: aging ? young : undefined });
    this.#raise();
    return aging ? young : 0;
  }

  release(number: number): void {
    const mm = this.mm(number);
    if (!mm.ready) return;
    this.calls.push({ call: `release ${number} 0 ${ULONG_MAX}`, ret: undefined });
    const range = { mm: number, start: 0, end: ULONG_MAX, event: "MMU_NOTIFY_RELEASE" } as const;
    if (mm.hasItree) {
      this.#invalidateIntervals(mm, range, 1);
      this.#endIntervals(mm);
    }
    for (const subscriber of mm.list)
      if (this.wants(subscriber, "release"))
        this.#invoke(subscriber, "release", { mm: number, start: 0, end: ULONG_MAX, flags: 1 }, "may sleep");
    mm.list = [];
    this.#raise();
  }

  insert(number: number, interval: Interval): void {
    const mm = this.mm(number);
    mm.ready = true;
    mm.hasItree = true;
    if (mm.active === 0) {
      interval.seq = (mm.seq - 1) & this.#mask;
      insertByStart(mm.tree, interval);
    } else if (mm.seq % 2 === 1) {
      interval.seq = mm.seq;
      mm.deferred.unshift(interval);
    } else {
      mm.seq += 1;
      interval.seq = mm.seq;
      insertByStart(mm.tree, interval);
    }
  }

  /** True when removal would wait for an end. */
  removalWaits(number: number, interval: Interval): boolean {
    const mm = this.mm(number);
    return mm.seq % 2 === 1 && mm.tree.includes(interval);
  }

  remove(number: number, interval: Interval): void {
    const mm = this.mm(number);
    const list = mm.tree.includes(interval) ? mm.tree : mm.deferred;
    list.splice(list.indexOf(interval), 1);
  }

  /** False when one refused a range that may not block; the invalidation has ended then. */
  #invalidateIntervals(mm: Mm, range: Range, flags: number): boolean {
    mm.active++;
    const hits = mm.tree.filter(({ start, end }) => start < range.end && end > range.start);
    if (hits.length > 0 && mm.seq % 2 === 0) mm.seq++;
    for (const interval of hits) {
      this.log.push(`interval ${interval.row}: ${where(range)} ${flags} ${range.owner ?? 0} seq ${mm.seq}`);
      if (interval.act === "throw") this.#fault("throw", "thrown by an interval");
      else interval.seq = mm.seq;
      if (interval.act !== "refuse") continue;
      if (flags === 0) {
        this.#endIntervals(mm);
        return false;
      }
      const release = range.event === "MMU_NOTIFY_RELEASE";
      this.log.push(release ? "WARN_INTERVAL_REFUSED_RELEASE" : "WARN_INTERVAL_REFUSED_BLOCKABLE");
    }
    return true;
  }

  #endIntervals(mm: Mm): void {
    if (--mm.active > 0 || mm.seq % 2 === 0) return;
    mm.seq = (mm.seq + 1) & this.#mask;
    for (const interval of mm.deferred.splice(0)) insertByStart(mm.tree, interval);
  }

  #invoke(
    subscriber: Subscriber,
    phase: NotificationPhase,
    at: Omit<Range, "event"> & { readonly event?: MmuNotifyEvent; readonly flags: number; readonly pte?: number },
    context: Context,
  ): { readonly refused: boolean; readonly young: boolean } {
    const { name } = subscriber;
    const act = subscriber.acts[phase] ?? "nothing";
    this.log.push(called(name, phase, { ...at, owner: at.owner ?? 0 }));
    const aging = phase.endsWith("young");
    switch (act) {
      case "work":
        this.log.push(`${name} works`);
        break;
      case "two works":
        this.log.push(`${name} works`, `${name} works again`);
        break;
      case "sleep":
        if (context !== "may sleep") throw new Slept(`${context} in ${name}.${CALLBACKS[phase]}`);
        this.log.push(`${name} slept`);
        break;
      case "throw":
      case "throw in a step":
        this.#fault(name, act === "throw" ? "thrown" : "thrown in a step");
        break;
      case "refuse":
      case "refuse in work":
        if (phase === "start") return { refused: true, young: false };
        this.#fault(name, "refuse()");
        break;
      case "young":
      case "young in work":
        if (aging) return { refused: false, young: true };
        this.#fault(name, "reportYoung()");
        break;
      case "nothing":
    }
    return { refused: false, young: false };
  }

  #fault(name: string, what: string): void {
    const text = `${name}: ${what}`;
    if (this.#faultsAreTaken) this.log.push(`fault of ${text}`);
    else this.#unclaimed ??= text;
  }

  #raise(): void {
    const text = this.#unclaimed;
    this.#unclaimed = undefined;
    if (text !== undefined) throw new Unclaimed(text);
  }
}

function insertByStart(tree: Interval[], interval: Interval): void {
  const at = tree.findIndex(({ start }) => start > interval.start);
  tree.splice(at < 0 ? tree.length : at, 0, interval);
}

export function where({
  mm,
  start,
  end,
  event,
}: Omit<Range, "event"> & { readonly event?: string | undefined }): string {
  return `${mm} ${start} ${end} ${event}`;
}

/** How the log says that a subscriber is called. */
export function called(
  name: string,
  phase: NotificationPhase,
  at: {
    readonly mm: number;
    readonly start: number;
    readonly end: number;
    readonly event?: MmuNotifyEvent | undefined;
    readonly flags: number;
    readonly owner: number;
    readonly pte?: number | undefined;
  },
): string {
  return `${name} ${phase} ${where({ ...at, event: at.event })} ${at.flags} ${at.owner} ${at.pte}`;
}
