import { ContextError, downWrite, mightSleep, type Path, Scheduler, step, upWrite } from "@mmu-notifier/steps";
import {
  type BusCall,
  type BusRules,
  exceptEvents,
  type MmuNotification,
  type MmuNotifierRange,
  phases,
  SubscriberError,
} from "@mmu-notifier/bus";
import fc from "fast-check";
import { filter, type Subscription } from "rxjs";
import { describe, expect, it } from "vitest";
import { op, type Op } from "./random-ops.js";
import {
  called,
  type Interval,
  type Range,
  ReferenceBus,
  Slept,
  type Subscriber,
  Unclaimed,
  where,
} from "./reference-bus.js";
import { machine, type TestMm, V6_12, V6_4 } from "./test-mm.js";

const KERNELS: Readonly<Record<string, BusRules>> = {
  "v6.4": V6_4,
  "v6.12": V6_12,
  "v6.4 before c2655835fd8c": { ...V6_4, endsAfterRefusedStart: false },
  "v6.12 with the -EAGAIN hole closed": { ...V6_12, undoIntervalsOnEagain: true },
};

/** Does the same to the bus and to the reference, and compares all that can be seen. */
function compare(rules: BusRules, seqBits: number, watched: boolean, ops: readonly Op[]): void {
  const { bus, mms, memory } = machine(rules, { invalidateSeqBits: seqBits, mms: 3 });
  const reference = new ReferenceBus(rules, seqBits, watched);
  const log: string[] = [];
  const calls: BusCall[] = [];
  bus.warnings.subscribe(({ code }) => log.push(code));
  const faultText = ({ subscriber: name, cause }: SubscriberError): string =>
    `${name}: ${(cause as Error).message.split(" answers")[0]}`;
  if (watched) {
    bus.calls.subscribe((call) => calls.push(call));
    bus.faults.subscribe((error) => log.push(`fault of ${faultText(error)}`));
  }
  const joined: { subscriber: Subscriber; mm: number; stream: Subscription; row: number }[] = [];
  const inserted: { interval: Interval; mm: number }[] = [];
  const open: { range: MmuNotifierRange; blockable: boolean }[] = [];

  const says = (text: string) => step(text, () => log.push(text));
  function answer({ name, acts: answers }: Subscriber, n: MmuNotification): void {
    const { mm, phase } = n;
    log.push(called(name, phase, n));
    expect([n.blockable, n.acted]).toEqual([n.flags === 1, false]);
    expect(mms.some(({ id }) => id === mm)).toBe(true);
    switch (answers[phase] ?? "nothing") {
      case "work":
      case "two works":
        n.waitUntil(function* () {
          yield says(`${name} works`);
        });
        if (answers[phase] === "work") return;
        return n.waitUntil(function* () {
          yield says(`${name} works again`);
        });
      case "sleep":
        return n.waitUntil(function* () {
          yield mightSleep("the driver");
          yield says(`${name} slept`);
        });
      case "throw":
        throw new Error("thrown");
      case "throw in a step":
        return n.waitUntil(function* () {
          yield step("throws", () => {
            throw new Error("thrown in a step");
          });
          yield says("not reached");
        });
      case "refuse":
        return n.refuse();
      case "refuse in work":
        return n.waitUntil(function* () {
          yield step("thinks", () => 0);
          n.refuse();
        });
      case "young":
        return n.reportYoung();
      case "young in work":
        return n.waitUntil(function* () {
          yield step("looks", () => 0);
          n.reportYoung();
        });
      case "nothing":
    }
  }

  /** Runs one op on both; false when the machine has stopped. */
  function both<R>(path: () => Path<R>, model: () => R): boolean {
    const outcomeOf = (run: () => R): unknown => {
      try {
        return run() ?? 0;
      } catch (error) {
        if (error instanceof Unclaimed) return `throws ${error.message}`;
        if (error instanceof SubscriberError) return `throws ${faultText(error)}`;
        if (error instanceof Slept) return error.message;
        if (error instanceof ContextError) return `${error.code} in ${error.details["path"] as string}`;
        throw error;
      }
    };
    const expected = outcomeOf(model);
    expect(outcomeOf(() => new Scheduler().run(path()))).toBe(expected);
    return !String(expected).startsWith("SLEEP_IN");
  }

  const kinds = (["obey", "refuse", "throw"] as const).map((act) =>
    bus.defineIntervalOps({
      name: act,
      *invalidate(row, range, curSeq) {
        const flags = range.flags ?? 1;
        yield says(`interval ${row}: ${where(range)} ${flags} ${range.owner ?? 0} seq ${curSeq}`);
        if (act === "throw") throw new Error("thrown by an interval");
        yield* bus.intervalSetSeq(row, curSeq);
        return act !== "refuse";
      },
    }),
  );

  function run(next: Op, index: number): boolean {
    switch (next.do) {
      case "subscribe": {
        // Who narrows late has every callback, which some kernels refuse.
        const late = next.subscriber.late && !rules.rejectsMixedOps;
        const given: Subscriber = { ...next.subscriber, late, name: `s${index}` };
        const { id } = mms[next.mm]!;
        const all = bus.notifications(id).named(given.name);
        const narrowed = [phases(...given.phases), exceptEvents(...given.except)] as const;
        const wanted = late
          ? all.pipe(
              filter(() => true),
              ...narrowed,
            )
          : all.pipe(...narrowed);
        const subscribe = (): Subscription => wanted.subscribe((n) => answer(given, n));
        if (!reference.subscribe(id, given)) {
          expect(subscribe).toThrow("-EINVAL");
          return true;
        }
        const stream = subscribe();
        joined.push({ subscriber: given, mm: id, stream, row: bus.subscriptionOf(stream) });
        return true;
      }
      case "leave":
      case "unregister": {
        if (joined.length === 0) return true;
        const [one] = joined.splice(next.pick % joined.length, 1);
        if (next.do === "leave") {
          one!.stream.unsubscribe();
          reference.leave(one!.mm, one!.subscriber);
          return true;
        }
        const goesOn = both(
          () => bus.unregister(one!.row, one!.mm),
          () => reference.unregister(one!.mm, one!.subscriber),
        );
        if (goesOn) one!.stream.unsubscribe();
        return goesOn;
      }
      case "start": {
        const range: Range = {
          mm: mms[next.mm]!.id,
          start: next.pages[0],
          end: next.pages[0] + next.pages[1],
          event:
            next.event === "MMU_NOTIFY_PROTECTION_UPGRADE" && !rules.hasUpgradeEvent ? "MMU_NOTIFY_CLEAR" : next.event,
          ...(next.owner === undefined ? {} : { owner: next.owner }),
        };
        let returned = 0;
        const start = next.blockable ? "invalidateRangeStart" : "invalidateRangeStartNonblock";
        const goesOn = both(
          () => bus[start](range),
          () => (returned = reference.start(range, next.blockable)),
        );
        if (returned === 0) open.push({ range, blockable: next.blockable });
        return goesOn;
      }
      case "end": {
        if (open.length === 0) return true;
        const [{ range, blockable }] = open.splice(next.pick % open.length, 1) as [(typeof open)[0]];
        return both(
          () => bus.invalidateRangeEnd(range, next.onlyEnd),
          () => reference.end(range, blockable, next.onlyEnd),
        );
      }
      case "release": {
        const { id } = mms[next.mm]!;
        return both(
          () => bus.release(id),
          () => reference.release(id),
        );
      }
      case "insert": {
        const { id } = mms[next.mm]!;
        // The first takes every lock of the mm, so nobody is between a start and its end.
        if (!reference.mm(id).hasItree && open.some(({ range }) => range.mm === id)) return true;
        const row = bus.allocInterval(kinds[["obey", "refuse", "throw"].indexOf(next.act)]!);
        const [start, length] = [next.pages[0], next.pages[1]];
        const interval: Interval = { row, start, end: start + length, act: next.act, seq: 0 };
        inserted.push({ interval, mm: id });
        return both(
          () =>
            next.locked
              ? underMmapLock(mms[next.mm]!, bus.intervalInsertLocked(row, id, start, length))
              : bus.intervalInsert(row, id, start, length),
          () => {
            reference.insert(id, interval);
            return 0;
          },
        );
      }
      case "remove": {
        const able = inserted.filter(({ interval, mm }) => !reference.removalWaits(mm, interval));
        if (able.length === 0) return true;
        const one = able[next.pick % able.length]!;
        inserted.splice(inserted.indexOf(one), 1);
        const goesOn = both(
          () => bus.intervalRemove(one.interval.row),
          () => reference.remove(one.mm, one.interval),
        );
        bus.freeInterval(one.interval.row);
        return goesOn;
      }
      case "read": {
        const able = inserted.filter(({ interval, mm }) => interval.seq !== reference.mm(mm).seq);
        if (able.length === 0) return true;
        const { row, seq } = able[next.pick % able.length]!.interval;
        return (
          both(
            () => bus.intervalReadBegin(row),
            () => seq,
          ) &&
          both(
            () => bus.intervalCheckRetry(row, seq),
            () => 0,
          ) &&
          both(
            () => bus.intervalReadRetry(row, seq - 1),
            () => 1,
          )
        );
      }
      default: {
        const { id } = mms[next.mm]!;
        const [start, end] = [next.pages[0], next.pages[0] + next.pages[1]];
        switch (next.do) {
          case "hook":
            return both<number | void>(
              () => bus.invalidateRange(id, start, end),
              () => reference.list(reference.hook, id, start, end),
            );
          case "change-pte":
            if (!rules.hasChangePte) return true;
            return both<number | void>(
              () => bus.changePte(id, start, 42),
              () => reference.list("change-pte", id, start, start + 1, 42),
            );
          case "clear-flush-young":
            return both(
              () => bus.clearFlushYoung(id, start, end),
              () => reference.list("clear-flush-young", id, start, end),
            );
          case "clear-young":
            return both(
              () => bus.clearYoung(id, start, end),
              () => reference.list("clear-young", id, start, end),
            );
          case "test-young":
            return both(
              () => bus.testYoung(id, start),
              () => reference.list("test-young", id, start, start + 1),
            );
        }
      }
    }
  }

  for (const [index, next] of ops.entries()) {
    const goesOn = run(next, index);
    expect(log).toEqual(reference.log);
    if (!goesOn) return;
    for (const { id } of mms) expect(bus.hasNotifiers(id)).toBe(reference.mm(id).ready);
    const references = mms.map(({ id }) => 1 + [...joined, ...inserted].filter(({ mm }) => mm === id).length);
    expect(mms.map((mm) => mm.count())).toEqual(references);
  }
  if (watched) expect(calls.map(recorded)).toEqual(reference.calls);
  // Nothing is left under the SRCU lock: a grace period passes, and nothing of what left is kept.
  new Scheduler().run(bus.synchronize());
  const rows = memory.segments.find(({ name }) => name === "mmu_notifier")!;
  let live = 0;
  for (let row = 1; row < rows.used; row++) if (rows.isLive(row)) live++;
  expect(live).toBe(joined.length);
}

function* underMmapLock<R>({ mmapLock }: TestMm, path: Path<R>): Path<R> {
  yield downWrite(mmapLock);
  const result = yield* path;
  yield upWrite(mmapLock);
  return result;
}

function recorded(item: BusCall): { call: string; ret: number | undefined } {
  const { call, mm, start, end, flags, owner, onlyEnd, pte, ret } = item;
  const text = (): string => {
    switch (call) {
      case "invalidate_range_start":
        return `start ${where(item)} ${flags} ${owner}`;
      case "invalidate_range_end":
        return `end ${where(item)} ${flags} ${owner} ${onlyEnd}`;
      case "release":
        return `release ${mm} ${start} ${end}`;
      default:
        return `${call.replaceAll("_", "-")} ${mm} ${start} ${end} ${pte}`;
    }
  };
  return { call: text(), ret };
}

describe("the bus against mm/mmu_notifier.c over plain arrays", () => {
  it.each(Object.keys(KERNELS))("delivers, answers and records alike on %s", (kernel) => {
    fc.assert(
      fc.property(
        fc.constantFrom(3, 30),
        fc.boolean(),
        fc.array(op, { minLength: 6, maxLength: 30, size: "max" }),
        (seqBits, watched, ops) => compare(KERNELS[kernel]!, seqBits, watched, ops),
      ),
      { numRuns: 300 },
    );
  });
});
