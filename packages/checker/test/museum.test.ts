import { beforeAll, describe, expect, it } from "vitest";
import {
  type ControlResult,
  controls,
  type EntryResult,
  exploreScene,
  iommu,
  museum,
  runControl,
  runEntry,
  Scene,
  shadowMmu,
  WRITABLE_CLEAN,
  writableMapping,
} from "../src/index.js";

describe.each(museum.map((entry) => [entry.id, entry] as const))("%s", (_id, entry) => {
  let result: EntryResult;
  beforeAll(() => {
    result = runEntry(entry);
  });

  it("gives its verdicts in the shortest way with the mistake, and none without", () => {
    expect(result.complaints).toEqual([]);
  });

  it("comes to what it is about, and is searched completely without the mistake", () => {
    expect([result.buggy.reached, result.fixed.reached, result.fixed.complete]).toEqual([true, true, true]);
    expect(result.fixed.found).toEqual([]);
  });

  it("has a counterexample for each verdict, as long as is said", () => {
    expect(entry.expect.length).toBeGreaterThan(0);
    for (const { verdict, object, steps } of entry.expect) {
      const found = result.buggy.found.find((it) => it.verdict === verdict && it.object === object);
      expect(found?.counterexample.steps).toHaveLength(steps);
    }
  });
});

describe.each(controls.map((control) => [control.id, control] as const))("control %s", (_id, control) => {
  let result: ControlResult;
  beforeAll(() => {
    result = runControl(control);
  });

  it("is not called a bug, in any of its forms", () => {
    expect(result.complaints).toEqual([]);
    for (const model of result.models) expect([model.complete, model.reached, model.found]).toEqual([true, true, []]);
  });
});

describe("the seed's livelock", () => {
  const upgraded = (driver: ReturnType<typeof iommu>, kernel = "v6.4") => {
    const scene = new Scene({ kernel });
    const page = writableMapping(scene, WRITABLE_CLEAN);
    const device = scene.device(driver, { faults: scene.kernelFaults() });
    for (let tries = 0; tries < 2; tries++) scene.run(scene.access(device, page, "read"));
    scene.accesses(device, page, "write");
    return exploreScene(scene.model("a write after a read"), { liveness: "task" }).found.map(({ verdict }) => verdict);
  };
  const hook = ["invalidate-range", "arch-invalidate-secondary-tlbs"] as const;

  it("is one of an IOTLB that faults from its entry and hears nothing", () => {
    expect(upgraded(iommu({ hears: hook }))).toEqual(["LIVELOCK"]);
    expect(upgraded(iommu({ hears: hook }), "v6.12")).toEqual([]);
  });

  it("is none of one that hears broadcasts, of one that walks again, and of a table that software fills", () => {
    expect(upgraded(iommu({ hears: hook, snoops: true }))).toEqual([]);
    expect(upgraded(iommu({ hears: hook, hitPolicy: "rewalk-on-permission-fault" }))).toEqual([]);
    expect(upgraded(shadowMmu())).toEqual([]);
  });
});

describe("the museum", () => {
  it("says the same when it is asked again", () => {
    for (const entry of museum.slice(0, 8)) {
      const [first, second] = [runEntry(entry), runEntry(entry)];
      expect(second.buggy).toEqual(first.buggy);
      expect(second.fixed).toEqual(first.fixed);
    }
  });

  it("has the 35 bugs and the 11 controls", () => {
    expect([museum.length, controls.length]).toEqual([35, 11]);
  });

  it("tells the form with a filter from the form without", () => {
    const [filtered, unfiltered] = runControl(controls.find(({ id }) => id === "kvm-upgrade-overzap")!).models;

    expect(unfiltered!.states).toBeGreaterThan(filtered!.states);
  });

  it("says so when an entry does not say what it must", () => {
    const [first] = museum;
    const wrong = { ...first!, expect: [{ verdict: "STALE-USE", object: "dev0", steps: 3 }] } as const;

    expect(runEntry(wrong).complaints).toEqual([
      "the buggy variant does not give STALE-USE on dev0",
      "the buggy variant gives LIVELOCK on dev0, which nobody expects",
    ]);
  });

  it("says so when a search is cut off, or never comes to what it is about", () => {
    const entry = museum.find(({ id }) => id === "kvm-no-retry-check")!;

    expect(runEntry({ ...entry, explore: { maxStates: 5 } }).complaints).toEqual([
      "the buggy variant never comes to what it is about",
      "the buggy variant does not give STALE-USE on page 0",
      "the fixed variant never comes to what it is about",
      "the search of the fixed variant is not complete: cut off at 5 states",
    ]);
  });

  it("has names and numbers of its own for every entry", () => {
    expect(new Set(museum.map(({ id }) => id)).size).toBe(museum.length);
    expect(new Set(museum.map(({ number }) => number)).size).toBe(museum.length);
  });
});
