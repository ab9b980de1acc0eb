import { preemptDisable, preemptEnable, Scheduler, step } from "@mmu-notifier/steps";
import fc from "fast-check";
import { filter, type Observable, Subject } from "rxjs";
import { describe, expect, it } from "vitest";
import {
  clippedTo,
  coalesced,
  costMeter,
  exceptOwner,
  MMU_NOTIFY_EVENTS,
  type MmuNotification,
  type NotificationPhase,
  ownedBy,
  pairStartEnd,
  phases,
  rateMeter,
} from "@mmu-notifier/bus";
import { machine } from "../test-mm.js";

/** A notification without a bus. */
function notification(fields: Partial<MmuNotification>): MmuNotification {
  const answers = { acted: false, waitUntil: () => undefined, refuse: () => undefined, reportYoung: () => undefined };
  return {
    phase: "start",
    mm: 1,
    start: 0,
    end: 1,
    event: "MMU_NOTIFY_UNMAP",
    flags: 1,
    owner: 0,
    pte: undefined,
    blockable: true,
    ...answers,
    ...fields,
  };
}

const events = fc.constantFrom(
  "MMU_NOTIFY_MIGRATE",
  "MMU_NOTIFY_MIGRATE",
  "MMU_NOTIFY_MIGRATE",
  "MMU_NOTIFY_EXCLUSIVE",
  "MMU_NOTIFY_CLEAR",
);
/** Small numbers, so that each field is often equal and often the only one that is not. */
const one: fc.Arbitrary<MmuNotification> = fc
  .record({
    phase: fc.constantFrom<NotificationPhase>("start", "end", "start", "end", "release"),
    mm: fc.constantFrom(1, 1, 1, 2),
    range: fc.constantFrom([0, 2], [0, 2], [0, 2], [0, 3], [1, 2], [2, 4], [4, 5]),
    event: events,
    owner: fc.constantFrom(0, 7, 7, 7, 8),
    flags: fc.constantFrom(0, 1),
  })
  .map(({ range: [start, end], ...fields }) =>
    notification({ ...fields, start, end, blockable: fields.flags === 1, pte: 9 }),
  );
const stream = fc.array(one, { minLength: 2, maxLength: 20, size: "max" });

/** What an operator makes of a list. */
function through<T>(
  list: readonly MmuNotification[],
  pipe: (source: Observable<MmuNotification>) => Observable<T>,
): T[] {
  const source = new Subject<MmuNotification>();
  const seen: T[] = [];
  let completed = false;
  pipe(source).subscribe({ next: (value) => seen.push(value), complete: () => (completed = true) });
  for (const each of list) source.next(each);
  source.complete();
  expect(completed).toBe(true);
  return seen;
}

const fieldsOf = ({ phase, mm, start, end, event, owner, flags, pte, blockable }: MmuNotification) => ({
  phase,
  mm,
  start,
  end,
  event,
  owner,
  flags,
  pte,
  blockable,
});

describe("operators against what they say, on any stream", () => {
  it("coalesced joins only what agrees in phase, mm, event and owner, and touches", () => {
    fc.assert(
      fc.property(stream, (list) => {
        const joined: { key: string; start: number; end: number; count: number }[] = [];
        for (const n of list) {
          const key = [n.phase, n.mm, n.event, n.owner].join();
          const last = joined.at(-1);
          if (last?.key === key && n.start <= last.end && n.end >= last.start) {
            last.start = Math.min(last.start, n.start);
            last.end = Math.max(last.end, n.end);
            last.count++;
          } else joined.push({ key, start: n.start, end: n.end, count: 1 });
        }
        const seen = through(list, (source) => source.pipe(coalesced()));
        expect(
          seen.map(({ phase, mm, event, owner, start, end, count }) => ({
            key: [phase, mm, event, owner].join(),
            start,
            end,
            count,
          })),
        ).toEqual(joined);
      }),
      { numRuns: 400 },
    );
  });

  it("pairStartEnd pairs an end with the latest open start that agrees in everything", () => {
    fc.assert(
      fc.property(stream, (list) => {
        let open: MmuNotification[] = [];
        const pairs: number[][] = [];
        for (const n of list) {
          if (n.phase === "start") open.push(n);
          if (n.phase !== "end") continue;
          const key = (m: MmuNotification): string => [m.mm, m.start, m.end, m.event, m.owner].join();
          const start = open.findLast((m) => key(m) === key(n));
          if (start === undefined) continue;
          open = open.filter((m) => m !== start);
          pairs.push([list.indexOf(start), list.indexOf(n), open.filter(({ mm }) => mm === n.mm).length]);
        }
        const seen = through(list, (source) => source.pipe(pairStartEnd()));
        // By place in the stream: two notifications may be equal.
        const places = seen.map(({ start, end, stillOpen }) => [list.indexOf(start), list.indexOf(end), stillOpen]);
        expect(places).toEqual(pairs);
      }),
      { numRuns: 400 },
    );
  });

  it("clippedTo changes the range and nothing else, and not even the object when nothing is cut off", () => {
    fc.assert(
      fc.property(stream, fc.nat(4), fc.integer({ min: 1, max: 4 }), (list, start, length) => {
        const window = { start, end: start + length };
        const inside = list.filter((n) => n.start < window.end && n.end > window.start);
        const seen = through(list, (source) => source.pipe(clippedTo(window)));
        expect(seen.map(fieldsOf)).toEqual(
          inside.map((n) => ({
            ...fieldsOf(n),
            start: Math.max(n.start, window.start),
            end: Math.min(n.end, window.end),
          })),
        );
        for (const [index, n] of inside.entries())
          expect(seen[index] === n).toBe(n.start >= window.start && n.end <= window.end);
      }),
      { numRuns: 200 },
    );
  });

  it("a clipped notification answers, and shows whether it was answered, for the one it was made from", () => {
    const asked: string[] = [];
    const origin = {
      ...notification({ start: 0, end: 8 }),
      get acted() {
        return asked.length > 0;
      },
      waitUntil: () => asked.push("waitUntil"),
      refuse: () => asked.push("refuse"),
      reportYoung: () => asked.push("reportYoung"),
    };
    const [clipped] = through([origin], (source) => source.pipe(clippedTo({ start: 2, end: 4 })));
    expect(clipped!.acted).toBe(false);
    clipped!.refuse();
    clipped!.reportYoung();
    clipped!.waitUntil(function* () {});
    expect(asked).toEqual(["refuse", "reportYoung", "waitUntil"]);
    expect(clipped!.acted).toBe(true);
  });

  it("ownedBy and exceptOwner split a stream by the owner of MIGRATE and EXCLUSIVE", () => {
    fc.assert(
      fc.property(stream, fc.constantFrom(0, 7), (list, owner) => {
        const own = list.filter((n) => owner !== 0 && n.owner === owner && n.event !== "MMU_NOTIFY_CLEAR");
        expect(through(list, (source) => source.pipe(ownedBy(owner)))).toEqual(own);
        expect(through(list, (source) => source.pipe(exceptOwner(owner)))).toEqual(
          list.filter((n) => !own.includes(n)),
        );
      }),
    );
  });

  it("phases pass the same on a stream that is not the bus's", () => {
    for (const event of MMU_NOTIFY_EVENTS) {
      const list = (["start", "end"] as const).map((phase) => notification({ phase, event }));
      list.push(notification({ phase: "release", event: undefined }));
      for (const wanted of ["start", "end", "release"] as const)
        expect(
          through(list, (source) =>
            source.pipe(
              filter(() => true),
              phases(wanted),
            ),
          ).map(({ phase }) => phase),
        ).toEqual([wanted]);
    }
  });

  it("costMeter counts steps, not the markers between them", () => {
    const { bus, mm } = machine();
    const costs: number[] = [];
    bus
      .notifications(mm.id)
      .pipe(
        phases("start"),
        costMeter(({ steps }) => costs.push(steps)),
      )
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield preemptDisable();
          yield step("one", () => 0);
          yield preemptEnable();
          yield step("two", () => 0);
        }),
      );
    new Scheduler().run(bus.invalidateRangeStart({ mm: mm.id, start: 0, end: 1, event: "MMU_NOTIFY_CLEAR" }));

    expect(costs).toEqual([2]);
  });

  it("rateMeter counts bytes and notifications of each window that had any", () => {
    const gaps = fc.array(fc.tuple(one, fc.nat(12)), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(gaps, (list) => {
        let now = 0;
        const windows = new Map<number, { count: number; bytes: number }>();
        const times = list.map(([n, gap]) => {
          now += gap;
          const from = now - (now % 10);
          const { count, bytes } = windows.get(from) ?? { count: 0, bytes: 0 };
          windows.set(from, { count: count + 1, bytes: bytes + n.end - n.start });
          return now;
        });
        let index = -1;
        const seen = through(
          list.map(([n]) => n),
          (source) => {
            const clock = () => times[++index]!;
            return source.pipe(rateMeter({ window: 10, clock }));
          },
        );
        expect(seen).toEqual(
          [...windows].map(([from, { count, bytes }]) => ({ from, to: from + 10, count, bytes, rate: count / 10 })),
        );
      }),
    );
  });
});
