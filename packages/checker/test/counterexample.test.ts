import { call, lockAt, lockClass, Memory, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  counterexampleOf,
  explore,
  type Iteration,
  type Model,
  replay,
  toMermaid,
  toPerfetto,
  toTable,
  wrap,
  upgradeProtocol,
} from "../src/index.js";

const stale = () => upgradeProtocol({ cpus: 1, devices: 1, pages: 1, killWalks: false });

function counterexample() {
  const model = stale();
  return counterexampleOf(model, explore(model, { stopAtFirst: true }).findings[0]!);
}

describe("a counterexample", () => {
  it("is a table with a column for each task", () => {
    const table = toTable(counterexample());

    expect(table).toMatchInlineSnapshot(`
      "      cpu0                    writer                  dev0                    smmu
            ----                    ------                  ----                    ----
         1                          page to protect
         2                                                  page to write
         3                                                  write page 0
         4                                                  walk: read pte of page
                                                            0 = 1
         5                                                  walk: fill page 0
         6                                                  write page 0 = 1
         7                                                  page request for page
                                                            0
         8  take page request
         9  spin_lock(ptl)
        10  ptep_set_access_flags(
            page 0) = 1
        11  spin_unlock(ptl)
        12  CMD_TLBI(page 0)
        13  CMD_SYNC
        14                          spin_lock(ptl)
        15                                                                          SMMU consumes a
                                                                                    command
        16                                                                          SMMU consumes a
                                                                                    command
        17  SYNC done; answer
            device 0
        18                                                  page response
        19                                                  write page 0
        20                                                  walk: read pte of page
                                                            0 = 2
        21                          ptep_set_wrprotect(
                                    page 0)
        22                          spin_unlock(ptl)
        23                          CMD_TLBI(page 0)
        24                          CMD_SYNC
        25                                                                          SMMU consumes a
                                                                                    command
        26                                                  walk: fill page 0
        27                                                                          SMMU consumes a
                                                                                    command
        28                          SYNC done
        29                                                  write page 0
      => device 0 wrote page 0 through an entry that was revoked
      replay: ddff:BC*6A*6BDDAC*3B*4DCDBC"
    `);
    for (const line of table.split("\n").slice(0, -1)) expect(line.length).toBeLessThanOrEqual(100);
  });

  it("is the same when it is replayed from its line", () => {
    const first = counterexample();

    expect(replay(stale(), first.replay)).toEqual(first);
  });

  it("says what each step changes and whom it wakes", () => {
    const { steps } = counterexample();

    expect(
      steps.some(({ changes }) =>
        changes.some(({ where, before, after }) => where === "pte" && before === 1 && after === 2),
      ),
    ).toBe(true);
    expect(steps.filter(({ wakes }) => wakes.includes("smmu")).map(({ label }) => label)).toContain("CMD_TLBI(page 0)");
    expect(toTable(counterexample(), { changes: true })).toContain("{pte: 1 ->");
  });

  it("is a Mermaid diagram", () => {
    const lines = toMermaid(counterexample()).split("\n");

    expect(lines[0]).toBe("sequenceDiagram");
    expect(lines.some((line) => /^ {2}t\d->>t\d: \d+\. CMD_TLBI\(page 0\)$/.test(line))).toBe(true);
  });

  it("is a trace with arrows that end where they are said to", () => {
    const { traceEvents } = toPerfetto(counterexample());
    const starts = traceEvents.filter(({ ph }) => ph === "s");

    expect(starts.length).toBeGreaterThan(0);
    expect(traceEvents.filter(({ ph }) => ph === "f").map(({ id }) => id)).toEqual(starts.map(({ id }) => id));
    expect(JSON.parse(JSON.stringify(traceEvents))).toHaveLength(traceEvents.length);
  });

  it("shows what repeats for ever", () => {
    const model = upgradeProtocol({ cpus: 1, devices: 1, pages: 1, notify: false });
    const [finding] = explore(model, { liveness: "task" }).findings;
    const shown = counterexampleOf(model, finding!);

    expect(shown.cycleFrom).toBe(shown.steps.length - finding!.schedule.cycle.length + 1);
    expect(toTable(shown)).toContain("from here on for ever");
    expect(toMermaid(shown)).toContain("  loop for ever");
    expect(shown.replay).toMatch(/\(.+\)$/);
    expect(replay(model, shown.replay)).toEqual(shown);
  });

  it("names the functions a step is in", () => {
    const state = new Memory();
    const segment = state.segment("locks", 4);
    const [a, b] = ["a", "b"].map((name) => lockAt(lockClass(name, "spinlock"), segment, segment.alloc() * 4 + 1));
    const both = (first: typeof a, second: typeof a) =>
      function* (): Path<Iteration> {
        yield* call(
          "take_both",
          (function* () {
            yield spinLock(first!);
            yield spinLock(second!);
            yield spinUnlock(second!);
            yield spinUnlock(first!);
          })(),
        );
        return null;
      };
    const model: Model = {
      name: "locks",
      state,
      tasks: [
        { name: "cpu0", start: both(a, b) },
        { name: "cpu1", start: both(b, a) },
      ],
    };

    const finding = explore(model).findings.find(({ what }) =>
      what.includes("cpu0 waits in take_both for spin_lock(b), held by cpu1"),
    );

    expect(finding).toMatchObject({ verdict: "DEADLOCK" });
    expect(toTable(counterexampleOf(model, finding!))).toMatchInlineSnapshot(`
      "      cpu0                                            cpu1
            ----                                            ----
            take_both():
         1  spin_lock(a)
                                                            take_both():
         2                                                  spin_lock(b)
      replay: ec3b:AB"
    `);
  });

  it.each([
    ["nonsense", "is no schedule"],
    ["0000:A", "belongs to a model with other tasks"],
  ])("refuses the line %s", (line, why) => {
    expect(() => replay(stale(), line)).toThrowError(why);
  });

  it("refuses a move that is not possible", () => {
    const { replay: line } = counterexample();

    expect(() => replay(stale(), `${line.slice(0, 5)}AAAA`)).toThrowError(
      "step 1: cpu0 can not move (possible: writer, dev0)",
    );
  });
});

describe("steps", () => {
  it("that return no integer are attributed", () => {
    const state = new Memory();
    const start = function* (): Path<Iteration> {
      yield step("half", () => 0.5);
      return null;
    };

    expect(explore({ name: "m", state, tasks: [{ name: "t", start }] }).findings[0]!.what).toMatch(
      /^step "half" of task t returned 0\.5/,
    );
  });
});

describe("text", () => {
  it.each([
    [20, ["the entry of", "wp_can_reuse_anon_", "folio"]],
    [8, ["the", "entry of", "wp_can_", "reuse_", "anon_", "folio"]],
    [100, ["the entry of wp_can_reuse_anon_folio"]],
  ])("of %i columns is broken at spaces, and words that are too long after a sign that joins them", (width, lines) => {
    expect(wrap("the entry of wp_can_reuse_anon_folio", width)).toEqual(lines);
  });

  it("is broken in columns that are none as well", () => {
    expect(wrap("abc", 0)).toEqual(["a", "b", "c"]);
  });
});
