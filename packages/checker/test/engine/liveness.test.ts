import { type Path, Step, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { DeclaredState, explore, type Iteration, type Model, upgradeProtocol } from "../../src/index.js";

const small = { cpus: 2, devices: 1, pages: 1 };

describe("livelocks", () => {
  it("are found when the upgrade is not notified: the device faults for ever", () => {
    const { findings } = explore(upgradeProtocol({ ...small, notify: false }), { liveness: "task" });

    expect(findings.map(({ verdict, severity }) => [verdict, severity])).toEqual([["LIVELOCK", "error"]]);
    expect(findings[0]!.schedule.stem.length).toBeGreaterThan(0);
    expect(findings[0]!.schedule.cycle.length).toBeGreaterThan(5);
  });

  it("are bounded only by fairness with the notification, as SPIN says too", () => {
    const { findings } = explore(upgradeProtocol({ cpus: 2, devices: 2, pages: 1 }), { liveness: "task" });

    expect(findings.map(({ verdict, severity }) => [verdict, severity])).toEqual([["LIVELOCK", "warning"]]);
    expect(findings[0]!.what).toMatch(/^bounded only by fairness: /);
  });

  it("need no fairness at all when nobody can go on for ever", () => {
    expect(explore(upgradeProtocol({ cpus: 1, devices: 1, pages: 1 }), { liveness: "task" }).findings).toEqual([]);
  });

  it("are told from the work of tasks that share a CPU", () => {
    const build = (cpu: string): Model => {
      const state = new DeclaredState();
      const done = state.field("done", 1);
      const spin = function* (): Path<Iteration> {
        const is = yield step("poll", () => done.get());
        return is === 1 ? null : [];
      };
      const finish = function* (): Path<Iteration> {
        yield step("finish", () => {
          done.set(0, 1);
          return 0;
        });
        return null;
      };
      const tasks = [
        { name: "poller", start: spin, cpu: "cpu0" },
        { name: "finisher", start: finish, cpu },
      ];
      return { name: "polling", state, tasks, progress: (_, label) => label === "finish" };
    };

    expect(explore(build("cpu1"), { liveness: "cpu" }).findings).toMatchObject([
      { verdict: "LIVELOCK", severity: "warning" },
    ]);
    expect(explore(build("cpu0"), { liveness: "cpu" }).findings).toMatchObject([
      { verdict: "LIVELOCK", severity: "error" },
    ]);
    expect(explore(build("cpu0"), { liveness: "task" }).findings).toMatchObject([
      { verdict: "LIVELOCK", severity: "warning" },
    ]);
  });

  it("of one task are starvation", () => {
    const state = new DeclaredState();
    const lock = state.field("lock", 1);
    const contender = function* (): Path<Iteration> {
      yield new Step(
        "take",
        () => {
          lock.set(0, 1);
          return 0;
        },
        () => lock.get() === 0,
      );
      yield step("drop", () => {
        lock.set(0, 0);
        return 0;
      });
      return [];
    };
    const tasks = ["a", "b"].map((name) => ({ name, start: contender }));

    const { findings } = explore(
      { name: "unfair lock", state, tasks, progress: (_, label) => label === "drop" },
      { liveness: "task" },
    );

    expect(findings.map(({ verdict, about, schedule }) => [verdict, about, schedule.cycle.length])).toEqual([
      ["STARVATION", "a", 2],
      ["STARVATION", "b", 2],
    ]);
  });

  it("are not looked for together with reductions", () => {
    expect(() => explore(upgradeProtocol(small), { liveness: "task", symmetry: true })).toThrowError(
      "symmetry mixes up",
    );
    expect(() => explore(upgradeProtocol(small), { liveness: "task", partialOrder: true })).toThrowError(
      "leave a cycle out",
    );
    expect(() => explore({ name: "m", state: new DeclaredState(), tasks: [] }, { liveness: "task" })).toThrowError(
      "Model.progress",
    );
  });
});
