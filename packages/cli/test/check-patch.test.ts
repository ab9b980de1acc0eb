import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mmun } from "./mmun.js";

let mmun: Mmun;
beforeAll(async () => {
  mmun = await Mmun.build();
});
afterAll(() => mmun.remove());

interface Line {
  readonly question: string;
  readonly case: string;
  readonly open?: string;
  readonly answers: Readonly<Record<string, { readonly verdict: string; readonly bounds: string }>>;
}

const KERNELS = ["v6.4", "v6.4+upgrade-event", "v6.4+upgrade-event-fixed", "v6.12"];

describe("mmun check --patch", () => {
  it("answers every question of the reference by a search, on the patch and around it", () => {
    const { code, stdout, stderr } = mmun.run(["check", "--patch", "--json"]);

    expect([code, stderr]).toEqual([1, ""]);
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);
    expect([...new Set(lines.map(({ question }) => question))]).toEqual(
      Array.from({ length: 15 }, (_, i) => `Q${i + 1}`),
    );
    expect(lines.filter(({ open }) => open !== undefined).map((line) => line.case)).toEqual(["Q12", "Q12b"]);
    const words = lines.map(
      (line) => `${line.case}: ${KERNELS.map((kernel) => line.answers[kernel]!.verdict).join(", ")}`,
    );
    expect(words).toEqual([
      "Q1: LIVELOCK, LIVELOCK, passes, passes",
      "Q1b: LIVELOCK, LIVELOCK, passes, passes",
      "Q1c: LIVELOCK, LIVELOCK, passes, passes",
      "Q2: LIVELOCK, LIVELOCK, passes, passes",
      "Q2b: LIVELOCK, LIVELOCK, passes, passes",
      "Q2c: LIVELOCK, LIVELOCK, passes, passes",
      "Q3: LIVELOCK, LIVELOCK, passes, passes",
      "Q4: passes, COST, passes, passes",
      "Q4b: passes, passes, passes, passes",
      "Q5: passes, CONTEXT, passes, passes",
      "Q6: passes, COST, passes, passes",
      "Q6b: passes, COST, passes, passes",
      "Q7: passes, STALE-USE, passes, passes",
      "Q8: passes, COST, passes, passes",
      "Q8b: passes, COST, passes, passes",
      "Q9: passes, CONTRACT, CONTRACT, passes",
      "Q9b: passes, COST, COST, passes",
      "Q9c: passes, passes, passes, passes",
      "Q10: passes, passes, passes, passes",
      "Q10b: passes, COST, COST, passes",
      "Q10c: passes, LIVELOCK, passes, passes",
      "Q10d: passes, passes, passes, passes",
      "Q11: passes, DEADLOCK, DEADLOCK, passes",
      "Q11b: passes, passes, passes, passes",
      "Q12: passes, COST, COST, passes",
      "Q12b: passes, passes, passes, passes",
      "Q13: LIVELOCK, passes, passes, passes",
      "Q13b: passes, MISSED-RANGE, MISSED-RANGE, passes",
      "Q13c: passes, passes, passes, passes",
      "Q14: LIVELOCK, passes, passes, passes",
      "Q14b: COST, COST, COST, passes",
      "Q15: LIVELOCK, passes, passes, passes",
      "Q15b: LIVELOCK, passes, passes, passes",
      "Q15c: LIVELOCK, passes, passes, passes",
      "Q15d: passes, passes, passes, passes",
    ]);
    const answers = lines.flatMap((line) => Object.values(line.answers));
    for (const { bounds, verdict } of answers) if (verdict === "passes") expect(bounds).toBe("complete");
  });

  it("shows the steps of what a question finds, and runs them again", () => {
    const { code, stdout } = mmun.run(["check", "--patch", "--scenarios", "q7"]);

    expect(code).toBe(1);
    expect(stdout).toMatch(/^ {4}P7 {3}kvm +passes +STALE-USE +passes +passes$/m);
    expect(stdout).toContain("cpu0's TLB: frame 4 rw  <- another frame");
    expect(stdout).toMatch(
      /^Driver kvm on v6\.4\+upgrade-event, sparc64 at step \d+: cpu0's TLB translates page 0 to frame 4/m,
    );
    expect(stdout).toContain("Found in the patch as written: Q7.\nFound in its repair: nothing.");
    for (const line of stdout.split("\n"))
      if (!line.startsWith("again: ")) expect(line.length).toBeLessThanOrEqual(100);

    const [, again] = /--replay '([^']+)'/.exec(stdout)!;
    const replayed = mmun.run(["check", "--patch", "--replay", again!]);
    expect(replayed.code).toBe(0);
    expect(replayed.stdout).toContain("update_mmu_cache: preload {tlb of cpu0");
  });

  it("ends with 0 where the patch is all right, and asks the driver that is named", () => {
    const { code, stdout } = mmun.run(["check", "kvm", "--patch", "--scenarios", "Q1,Q15"]);

    expect(code).toBe(0);
    expect(stdout).toContain("The patch on trial, driver kvm;");
    expect(stdout).toMatch(/^ {4}X1 {3}kvm +passes +passes +passes +passes$/m);
    expect(stdout).toContain("Found in the patch as written: nothing.");
  });

  it("exports the first thing that it finds on the patch", () => {
    const { code, stdout } = mmun.run(["check", "--patch", "--scenarios", "Q11", "--export", "mermaid"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^sequenceDiagram/);

    const nothing = mmun.run(["check", "--patch", "--scenarios", "Q15", "--export", "json"]);
    expect([nothing.code, nothing.stdout]).toEqual([0, ""]);
    expect(nothing.stderr).toContain("nothing to export");
  });

  it.each([
    [["--arch", "nope"], 'there is no architecture "nope"'],
    [["--kernel", "v6.4"], "--kernel does nothing with --patch"],
    [["--basic"], "--basic does nothing with --patch"],
    [["--driver", "kvm"], "Name the driver as the target: mmun check --patch kvm"],
    [["--scenarios", "Q99"], "--scenarios Q99: there is no such question"],
    [["--replay", "Q7"], "--replay Q7: expected NAME/SCHEDULE"],
    [["--replay", "Q7/zzz"], "is no schedule"],
    [["race.mm"], "--patch asks a driver, and race.mm is a script"],
  ])("with %j is wrong use", (argv, message) => {
    const { code, stdout, stderr } = mmun.run(["check", "--patch", ...argv]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
  });
});
