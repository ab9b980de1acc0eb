import {
  ACCESS_RETRY,
  type BoundDevice,
  deviceAccessOnce,
  deviceAccessOnHit,
  READ_ONLY,
  READ_WRITE,
  Workbench,
} from "@mmu-notifier/sdk";
import { describe, expect, it } from "vitest";
import readmeDriver from "./readme-driver.js";

/** Two benches with the same history; the second makes the last access the short way. */
function pair(rights: number) {
  return [0, 1].map(() => {
    const bench = new Workbench({ profile: "v6.12" });
    bench.map(3, rights);
    const bound = bench.device(readmeDriver).bind(bench.mm);
    bench.run(deviceAccessOnce(bound, 3, "read"));
    return { bench, bound };
  }) as [Pair, Pair];
}

type Pair = { readonly bench: Workbench; readonly bound: BoundDevice };

describe("deviceAccessOnHit", () => {
  it("leaves the same memory and the same counts as the long way", () => {
    const [long, short] = pair(READ_WRITE);

    const byPath = long.bench.run(deviceAccessOnce(long.bound, 3, "write", 9));
    const atOnce = deviceAccessOnHit(short.bound, 3, "write", 9);

    expect(atOnce).toBe(byPath);
    expect(short.bench.memory.equals(long.bench.memory.save())).toBe(true);
    expect(short.bound.context.costs.report()).toEqual(long.bound.context.costs.report());
  });

  it("declines what the cache cannot answer, and counts nothing for it", () => {
    const [{ bound }] = pair(READ_ONLY);
    const before = bound.context.costs.report();

    expect(deviceAccessOnHit(bound, 3, "write", 9)).toBe(ACCESS_RETRY);
    expect(deviceAccessOnHit(bound, 7, "read")).toBe(ACCESS_RETRY);
    expect(bound.context.costs.report()).toEqual(before);
  });
});
