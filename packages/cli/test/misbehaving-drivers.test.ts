import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mmun } from "./mmun.js";

/** A driver whose device faults on everything; how it misbehaves is an option. */
const BAD = `
const step = (label, run) => ({ label, run });
const nothing = () => 0;
const F_TRANSLATION = -16;
const spin = () => { for (;;); };
let calls = 0;
export default {
  name: "bad", sdk: 1, summary: "misbehaves on purpose",
  options: { how: "" },
  declares: { pageTable: "mirror", onMissingRight: "fault", resolvesFaultsInSoftware: true, reachedByBroadcast: [], filters: [] },
  create: ({ notifications, options: { how } }) => {
    if (how === "create") spin();
    return {
      translation: {
        *translate() { return yield step("look up", () => (how === "look-up" ? spin() : F_TRANSLATION)); },
        peek: () => F_TRANSLATION,
      },
      fault: { name: "software", *handle() { yield step("fault", nothing); return 2; } },
      connection: notifications.subscribe((n) => {
        n.waitUntil(function* () {
          if (how === "between") spin();
          yield step("zap", () => {
            if (how === "step") spin();
            if (how === "throws") throw new Error("out of tags");
            return how === "hidden" ? calls++ : 0;
          });
          if (how === "yields") for (;;) yield step("poll", nothing);
          if (how === "slow") for (let i = 0; i < 15; i++) yield step("works", () => {
            const end = performance.now() + 20;
            while (performance.now() < end);
            return 0;
          });
        });
      }),
      *unbind() {},
      entries: () => (how === "entries" ? spin() : []),
    };
  },
};
`;
const THREADS = "map 0 1 rw- p anon\nwrite 0\nthread cpu {\nunmap 0 1\n}\nthread device {\ndev dev0 read 0\n}\n";
const STRAIGHT = "map 0 1 rw- p anon\nwrite 0\nunmap 0 1\nmap 0 1 rw- p anon\n";
/** Everything that ends takes a thousandth of this. */
const STEP = ["--step-time", "0.4", "--kernel", "v6.4"];

let mmun: Mmun;
let folder: string;
beforeAll(async () => {
  mmun = await Mmun.build();
  folder = mkdtempSync(join(tmpdir(), "mmun-bad-"));
  writeFileSync(join(folder, "bad.mjs"), BAD);
});
afterAll(() => {
  mmun.remove();
  rmSync(folder, { recursive: true });
});

const run = (command: string, how: string, script: string, argv: readonly string[] = STEP) => {
  const { code, stdout, stderr } = mmun.run([command, "-", ...argv, "--driver", `dev0=./bad.mjs:how=${how}`], {
    input: `device dev0 driver ./bad.mjs\n${script}`,
    cwd: folder,
  });
  return { code, stdout: stdout.replaceAll(/\s+/g, " "), stderr };
};

describe("mmun check of a driver that", () => {
  it.each([
    ["loops for ever in a step of a callback", "step", 'task cpu, in bad dev0.invalidate_range_start: step "zap"'],
    [
      "loops for ever between two steps",
      "between",
      'step "mmu_notifier_invalidate_range_start", or what its path does',
    ],
    ["loops for ever in a look-up", "look-up", 'task device: step "look up"'],
    ["loops for ever when it is asked for its entries", "entries", "what comes before the first step"],
    ["loops for ever when it is attached", "create", "attaching the devices or the ops before the threads"],
  ])("%s is a HANG that names it, and the command ends", (_, how, where) => {
    const { code, stdout } = run("check", how, THREADS);

    expect(code).toBe(1);
    expect(stdout).toContain(": HANG (");
    expect(stdout).toContain(where);
    expect(stdout).toMatch(how === "create" ? /did not end within 1600 ms/ : /did not end within 400 ms/);
    expect(stdout).toMatch(/Driver bad on v6\.4|code of bad loops for ever/);
  });

  it("loops for ever is shown up to the step that does not end, again and again", () => {
    const { stdout } = run("check", "step", THREADS);
    const [, schedule] = /--replay '([^']+)'/.exec(stdout)!;

    const again = run("check", "step", THREADS, [...STEP.slice(2), "--replay", schedule!, ...STEP.slice(0, 2)]);

    expect(again.code).toBe(0);
    expect(again.stdout).toMatch(/zap => this did not end within 400 ms/);
  });

  it("throws is an ERROR with package, device, event and step", () => {
    const { code, stdout } = run("check", "throws", THREADS);

    expect(code).toBe(1);
    expect(stdout).toContain("ERROR DRIVER_THREW");
    expect(stdout).toContain(
      'driver bad (./bad.mjs), device dev0, threw during start MMU_NOTIFY_UNMAP, in step "zap": out of tags',
    );
  });

  it("keeps hidden state is HIDDEN-STATE, with the callback and the step", () => {
    const { code, stdout } = run("check", "hidden", THREADS);

    expect(code).toBe(1);
    expect(stdout).toContain(": HIDDEN-STATE (");
    expect(stdout).toContain('step "zap" of task cpu, in bad dev0.invalidate_range_start, run twice');
    expect(stdout).toContain("re-executed, no states told apart");
  });

  it("polls for ever is a HANG as well", () => {
    const { code, stdout } = run("check", "yields", THREADS);

    expect(code).toBe(1);
    expect(stdout).toMatch(/2000 steps in one iteration, the last "poll" in bad dev0\.invalidate_range_start/);
  });
});

describe("mmun verdicts of a driver that", () => {
  it("loops for ever ends, and says on which kernel and what to do", () => {
    const argv = ["verdicts", "./bad.mjs:how=step", "--kernel", "v6.1", "--step-time", "0.4"];
    const { code, stderr } = mmun.run(argv, { cwd: folder });

    expect(code).toBe(2);
    expect(stderr).toMatch(
      /driver bad did not come to the end of its scenarios on v6\.1 within 1600 ms.*`mmun check \.\/bad\.mjs:how=step` says where/,
    );
  });
});

describe("mmun run of a driver that", () => {
  it.each([
    ["loops for ever in a step of a callback", "step"],
    ["loops for ever between two steps", "between"],
  ])("%s is a HANG in its op, which names it; what came before is shown", (_, how) => {
    const { code, stdout } = run("run", how, STRAIGHT);

    expect(code).toBe(1);
    expect(stdout).toContain("start UNMAP [0,1) HANG");
    expect(stdout).toMatch(
      /HANG op 2, unmap 0 1: a step, or the code between two, does not end.*bad dev0\.invalidate_range_start\. It is driver bad \(\.\/bad\.mjs\), device dev0\. 1 op after it was not run/,
    );
  });

  it("loops for ever in a look-up is a HANG in the access", () => {
    const { code, stdout } = run("run", "look-up", "map 0 1 rw- p anon\ndev dev0 read 0\n");

    expect(code).toBe(1);
    expect(stdout).toMatch(/HANG op 1, dev dev0 read 0: .* In dev dev0 read 0\. It is driver bad/);
  });

  it("loops for ever when it is attached is wrong input", () => {
    const { code, stderr } = run("run", "create", STRAIGHT);

    expect(code).toBe(2);
    expect(stderr).toContain("attaching the devices did not end within 1600 ms: code of driver bad loops for ever");
  });

  it("polls for ever, or throws, is told so", () => {
    expect(run("run", "yields", STRAIGHT).stderr).toContain('taken 1000000 steps, the last "poll", and does not end');
    expect(run("run", "throws", STRAIGHT).stderr).toContain('in step "zap": out of tags');
  });

  it("takes long and ends is not called endless", () => {
    const { code, stdout } = run("run", "slow", "map 0 1 rw- p anon\nwrite 0\nunmap 0 1\n");

    expect(stdout).not.toContain("HANG");
    expect(code).toBe(0);
  });

  it.each(["0", "soon", "", "-1", "1e9"])("refuses --step-time %j", (time) => {
    const { code, stderr } = run("run", "", STRAIGHT, ["--step-time", time]);
    expect(code).toBe(2);
    expect(stderr).toContain("--step-time");
  });
});
