import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mmun } from "./mmun.js";

let mmun: Mmun;

beforeAll(async () => {
  mmun = await Mmun.build();
}, 60_000);

afterAll(() => {
  mmun.remove();
});

describe("mmun museum", () => {
  it("lists bugs and controls without running them", () => {
    const { code, stdout, stderr } = mmun.run(["museum", "--list"]);

    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/A1 +smmu-nobtm-upgrade-livelock +2023 +missing notification +LIVELOCK +dev0 +28/);
    expect(stdout).toMatch(/over-invalidation +COST/);
  });

  it("explains a bug, by name or number, and shows the counterexample and the fixed search", () => {
    const { code, stdout } = mmun.run(["museum", "f1"]);

    expect(code).toBe(0);
    expect(stdout).toContain("smmu-atc-before-tlbi");
    expect(stdout).toContain("Fix ATC invalidation ordering wrt main TLBs (2019)");
    expect(stdout).toContain("STALE-USE on page 0, 21 steps");
    expect(stdout).toMatch(/^replay: /m);
    expect(stdout).toMatch(/^fixed: complete, \d+ states, nothing found$/m);
    for (const line of stdout.split("\n").filter((it) => !it.startsWith("replay:")))
      expect(line.length).toBeLessThanOrEqual(100);
  });

  it("runs everything, a line each", () => {
    const { code, stdout } = mmun.run(["museum"]);

    expect(code).toBe(0);
    expect(stdout).toMatch(
      /C18 +itree-remove-returns-early +2022 .* UAF +interval notifier +8 +complete, \d+ states +\d+ ms +ok/,
    );
    expect(stdout).toMatch(/over-invalidation +complete, \d+ states +COST on page 1 +\d+ ms +ok/);
    expect(stdout).toMatch(/^46 of 46 say what they must, in [\d.]+ s$/m);
  });

  it("explains a control", () => {
    const { code, stdout } = mmun.run(["museum", "over-invalidation"]);

    expect(code).toBe(0);
    expect(stdout).toContain("COST on page 1: an entry that was right is dropped");
  });

  it("prints JSON with every step of a counterexample", () => {
    const { code, stdout } = mmun.run(["museum", "--json", "C18"]);
    const { entries } = JSON.parse(stdout) as {
      entries: {
        id: string;
        ok: boolean;
        buggy: { found: { verdict: string; counterexample: { steps: object[] } }[] };
      }[];
    };

    expect(code).toBe(0);
    expect(entries).toMatchObject([{ id: "itree-remove-returns-early", ok: true, expect: [{ verdict: "UAF" }] }]);
    expect(entries[0]!.buggy.found[0]!.counterexample.steps).toHaveLength(8);
  });

  it("refuses what it does not have, and --all with names", () => {
    const mistyped = mmun.run(["museum", "kvm-no-retry"]);

    expect(mistyped.code).toBe(2);
    expect(mistyped.stderr).toContain('Did you mean "kvm-no-retry-check"?');
    expect(mmun.run(["museum", "A1", "--all"])).toMatchObject({ code: 2 });
  });
});
