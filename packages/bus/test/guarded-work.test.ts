import { choose, type Path, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { type FaultBox, guardedWork } from "@mmu-notifier/bus";

describe("guarded work", () => {
  it("leaves a free choice a free choice, so that a checker tries every alternative", () => {
    const box: FaultBox = { fault: undefined };
    const path = guardedWork(function* (): Path<number> {
      return yield choose("yield the lock?", 3);
    }, box);

    const first = path.next(0);

    expect(first.done === false && first.value.choices).toBe(3);
    expect(path.next(2)).toEqual({ done: true, value: 2 });
  });

  it("keeps what a step throws, and says which", () => {
    const box: FaultBox = { fault: undefined };
    const path = guardedWork(function* (): Path<number> {
      return yield step("boom", () => {
        throw new Error("no");
      });
    }, box);

    const first = path.next(0);
    const result = first.done === true ? 0 : first.value.run(0);

    expect(path.next(result)).toEqual({ done: true, value: undefined });
    expect(box.fault).toMatchObject({ step: "boom" });
  });
});
