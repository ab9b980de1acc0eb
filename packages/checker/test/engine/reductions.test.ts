import { Memory, type Path, Step, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  DeclaredState,
  explore,
  type ExploreOptions,
  type Iteration,
  type Model,
  replay,
  upgradeProtocol,
  type UpgradeProtocolOptions,
} from "../../src/index.js";

const variants: [string, UpgradeProtocolOptions][] = [
  ["the protocol", {}],
  ["the protocol without a notification", { notify: false }],
  ["an invalidation that leaves walks alone", { killWalks: false }],
  ["three devices on one page", { cpus: 1, devices: 3, pages: 1 }],
];

/** What a user reads, apart from which of several alike things it is about. */
const verdicts = (options: UpgradeProtocolOptions, how: ExploreOptions) =>
  [
    ...new Set(
      explore(upgradeProtocol(options), how).findings.map(
        ({ verdict, schedule }) => `${verdict} after ${schedule.stem.length}`,
      ),
    ),
  ].sort();

describe("symmetry", () => {
  it.each(variants)(
    "gives the verdicts of the full search for %s",
    (_, options) => {
      const shortest = (list: string[]) => list.slice(0, 1);

      expect(shortest(verdicts(options, { symmetry: true }))).toEqual(shortest(verdicts(options, {})));
    },
    20_000,
  );

  it("looks at little more than an eighth of the states for two CPUs, devices and pages", () => {
    const full = explore(upgradeProtocol());
    const reduced = explore(upgradeProtocol(), { symmetry: true });

    expect(reduced.states).toBeLessThan(full.states / 6);
    expect(reduced.states).toBeGreaterThanOrEqual(full.states / 8);
    expect(reduced.depth).toBe(full.depth);
  });

  it("leaves exactly one state of each orbit", () => {
    const group = { cpus: 1, devices: 2, pages: 1 };
    const full = explore(upgradeProtocol(group));
    const reduced = explore(upgradeProtocol(group), { symmetry: true });
    // Burnside: orbits = (states + states that swapping the devices leaves as they are) / 2.
    const fixed = 2 * reduced.states - full.states;

    expect(fixed).toBeGreaterThan(0);
    expect(fixed).toBeLessThan(reduced.states);
  });

  it("gives counterexamples of the model itself", () => {
    const model = upgradeProtocol({ killWalks: false });
    const [finding] = explore(model, { symmetry: true, stopAtFirst: true }).findings;

    expect(replay(model, finding!.schedule).error).toMatch(
      /^device \d wrote page \d through an entry that was revoked$/,
    );
  });

  it("needs declared fields and a symmetric start", () => {
    const none = { name: "m", tasks: [] };
    const state = new DeclaredState();

    expect(() => explore({ ...none, state: new Memory(), symmetry: [] }, { symmetry: true })).toThrowError(
      "symmetry needs a DeclaredState",
    );
    expect(() => explore({ ...none, state }, { symmetry: true })).toThrowError("symmetry needs Model.symmetry");
    const first = new DeclaredState();
    const value = first.field("value", 1, 1, 1);
    const flip = { state: () => value.set(0, 1 - value.get()), task: (task: number) => task };
    expect(() => explore({ ...none, state: first, symmetry: [flip] }, { symmetry: true })).toThrowError(
      "change the initial state",
    );
  });
});

/** Tasks that count privately before they meet at a lock. */
function counters(shared: boolean): Model {
  const state = new DeclaredState();
  const own = state.field("own", 2, 3);
  const lock = state.field("lock", 1);
  const total = state.field("total", 4);
  const start = (t: number) =>
    function* (round: number): Path<Iteration> {
      if (round === 3) {
        yield new Step(
          "take",
          () => {
            lock.set(0, 1);
            return 0;
          },
          () => lock.get() === 0,
        );
        yield step("add", () => {
          total.set(0, total.get() + own.get(t));
          return 0;
        });
        // The last one forgets to drop the lock.
        if (t < 2) {
          yield step("drop", () => {
            lock.set(0, 0);
            return 0;
          });
        }
        return null;
      }
      yield step("count", () => {
        const at = shared ? 0 : t;
        own.set(at, Math.min(3, own.get(at) * (shared && t === 1 ? 2 : 1) + 1));
        return 0;
      });
      return [round + 1];
    };
  const tasks = [0, 1, 2].map((t) => ({ name: `task${t}`, start: start(t), locals: [0] }));
  return { name: "counters", state, tasks, local: (_, label) => label === "count" };
}

describe("partial-order reduction", () => {
  it.each(variants)(
    "gives the verdicts of the full search for %s",
    (_, options) => {
      const kinds = (list: string[]) => [...new Set(list.map((text) => text.split(" ")[0]))];

      expect(kinds(verdicts(options, { partialOrder: true }))).toEqual(kinds(verdicts(options, {})));
    },
    20_000,
  );

  it("takes local steps first and keeps every hang", () => {
    const full = explore(counters(false));
    const reduced = explore(counters(false), { partialOrder: true });
    const what = ({ findings }: typeof full) => findings.map((finding) => finding.what).sort();

    expect(what(full)).not.toEqual([]);
    expect(what(reduced)).toEqual(what(full));
    expect(reduced.states).toBeLessThan(full.states / 2);
  });

  it("reports a step that is declared local and is not", () => {
    const { findings } = explore(counters(true), { partialOrder: true });

    expect(findings.map(({ error }) => error?.code)).toContain("CHECKER_NOT_LOCAL");
  });
});
