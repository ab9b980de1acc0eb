import { expect, it } from "vitest";
import { exceptEvents } from "@mmu-notifier/bus";
import { Scheduler, step } from "@mmu-notifier/steps";
import { machine } from "./test-mm.js";

it("delivers", () => {
  const { bus, mm } = machine();
  const seen: string[] = [];
  bus
    .notifications(mm.id)
    .pipe(exceptEvents("MMU_NOTIFY_CLEAR"))
    .subscribe((n) => {
      seen.push(n.phase);
      n.waitUntil(function* () {
        yield step("w", () => seen.push("work"));
      });
    });
  const s = new Scheduler();
  const range = { mm: mm.id, start: 0, end: 4096, event: "MMU_NOTIFY_UNMAP" } as const;
  expect(s.run(bus.invalidateRangeStart(range))).toBe(0);
  s.run(bus.invalidateRangeEnd(range));
  expect(seen).toEqual(["start", "work", "invalidate-range", "work", "end", "work"]);
});
