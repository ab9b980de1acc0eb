import type { Kernel } from "@mmu-notifier/core";
import { PluginRegistry } from "@mmu-notifier/machine";
import { abortOnFault, chain, defineSecondaryMmu, FAULT_RETRY, iotlb } from "@mmu-notifier/sdk";
import { downWrite, type Path, step } from "@mmu-notifier/steps";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type OpRecord,
  parseScripts,
  type Script,
  ScriptHost,
  ScriptSession,
  type SessionOptions,
} from "../src/index.js";

/** Caches four translations and hears of nothing; `retries` makes it try again for ever. */
function deafDevice(retries: boolean) {
  return defineSecondaryMmu({
    name: retries ? "deaf-retrying" : "deaf",
    sdk: 1,
    summary: "a cache that nobody invalidates",
    declares: {
      pageTable: "shared-walk",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: false,
      reachedByBroadcast: [],
      filters: [],
    },
    create: (context) => {
      const { mm, walker } = context;
      const tlb = iotlb(context, { sets: 1, ways: 4, hitPolicy: "fault-from-tlb" });
      return {
        translation: chain(
          tlb.stage(() => mm.asid(), walker),
          walker,
        ),
        connection: { unsubscribe: () => undefined },
        fault: retries
          ? {
              name: "again",
              *handle() {
                yield* [];
                return FAULT_RETRY;
              },
            }
          : abortOnFault(),
        *unbind() {
          yield* [];
        },
        entries: () => tlb.entries(mm.asid()),
      };
    },
  });
}

const registry = PluginRegistry.withCore().add([deafDevice(false), deafDevice(true)], "test");

function session(text: string, options: SessionOptions = {}): ScriptSession {
  const [script] = parseScripts(text, { file: "t.mm" });
  return new ScriptSession(script!, { kernel: "v6.18", arch: "x86-64", registry, ...options });
}

function run(text: string, options: SessionOptions = {}): OpRecord[] {
  const one = session(text, options);
  const records = one.script.statements.map((statement) => one.run(statement));
  one.close();
  return records;
}

function last(text: string, options: SessionOptions = {}): OpRecord {
  return run(text, options).at(-1)!;
}

describe("a record", () => {
  // As Linux 6.18.44 on x86-64 recorded it.
  it("of a fork, its end and the silent upgrade is the kernel's, field by field", () => {
    const vma = [[0, 4, "rw-p", 0, "anon", "mw ac"]];

    expect(
      run(
        "== rorw-fork-reap-reuse arena 16\nmap 0 4 rw- p anon\nwriter 0 4\nfork\nreap 0\nwrite 0\nread 1\nwriter 0 4",
      ),
    ).toEqual([
      { i: 0, op: "map 0 4 rw- p anon", ret: 0, ev: [], vma, pg: [] },
      {
        i: 1,
        op: "writer 0 4",
        ret: 0,
        ev: [
          ["F", 0, 6],
          ["F", 1, 6],
          ["F", 2, 6],
          ["F", 3, 6],
        ],
        vma,
        pg: [[0, 4, "PX", 1, 1]],
      },
      {
        i: 2,
        op: "fork",
        ret: 0,
        ev: [
          ["N", 0, 4],
          ["T", -1, 3],
        ],
        vma,
        pg: [[0, 4, "P", 1, 2]],
      },
      { i: 3, op: "reap 0", ret: 0, ev: [], vma, pg: [[0, 4, "PX", 1, 1]] },
      { i: 4, op: "write 0", ret: 0, ev: [["F", 0, 7]], vma, pg: [[0, 4, "PX", 1, 1]] },
      { i: 5, op: "read 1", val: 2, ev: [], vma, pg: [[0, 4, "PX", 1, 1]] },
      {
        i: 6,
        op: "writer 0 4",
        ret: 0,
        ev: [
          ["F", 1, 7],
          ["F", 2, 7],
          ["F", 3, 7],
        ],
        vma,
        pg: [[0, 4, "PX", 1, 1]],
      },
    ]);
  });

  it("says which child did something, and gives a copied page a new number", () => {
    const records = run("map 0 2 rw- p anon\nwriter 0 2\nfork\ncwrite 0 0\nwrite 1\ncread 0 1");

    expect(records[3]!.ev).toEqual([["F", 0, 7, "c0"]]);
    expect(records[4]!.pg).toEqual([
      [0, 1, "PX", 1, 1],
      [1, 1, "PX", 3, 1],
    ]);
    expect(records[5]).toMatchObject({ val: 2, ev: [] });
  });

  it.each([
    ["read 8", { sig: "SEGV", code: 1, at: 8 }],
    [
      "readr 2 4",
      {
        sigs: [
          [4, "SEGV", 1],
          [5, "SEGV", 1],
        ],
        sum: 0,
      },
    ],
    ["writer 0 2", { ret: 0 }],
    ["write 0 8", { ret: 4, sig: "SEGV", code: 1, at: 4 }],
    ["kread 9", { err: "EFAULT" }],
    ["pmread 9", { err: "EIO" }],
    ["unmap 0 0", { err: "EINVAL" }],
    ["mincore 0 4", { ret: 0, val: "1000" }],
    ["map 8 1 rw- p anon", { ret: 8 }],
    ["mapx 32768 4096 rw- 0x22 none 0", { ret: 8 }],
    ["mapx 4096 4096 rw- 0x22 none 0", { ret: "out" }],
    ["cwrite 3 0", { err: "NOCHILD" }],
    ["map 0 1 rw- s badfd", { err: "EBADF" }],
    ["clearrefs 4", { ret: 1 }],
  ])("of %s has the fields %j", (op, fields) => {
    const { i: _i, op: _op, ev: _ev, vma: _vma, pg: _pg, ...result } = last(`map 0 4 rw- p anon\nwrite 0\n${op}`);

    expect(result).toEqual(fields);
  });

  it("stores 1 + i % 99 unless the line says what", () => {
    expect(last("map 0 2 rw- p anon\nwrite 0\nread 0").val).toBe(2);
    expect(last("map 0 2 rw- p anon\nwrite 0 1 7\nread 0").val).toBe(7);
  });

  it("of a mapping outside of the arena says so, and the mapping goes again", () => {
    const records = run("mapx 549755813888 4096 rw- 0x32 none 0\nmap 0 1 rw- p anon");

    expect(records[0]!.ret).toBe("out");
    expect(records[1]!.vma).toHaveLength(1);
  });

  it("finds the files that exist without being made", () => {
    expect(last("map 0 4 r-- s mem 2\nreadr 0 4").sum).toBe(102 + 103 + 104 + 105);
    expect(last("map 0 4 r-- s filero 31\nreadr 0 4").sum).toBe(131);
    expect(last("map 0 4 rw- s memro").err).toBe("EACCES");
    expect(last("memfd f 4\nmap 0 4 rw shared fd=f\nwrite 1\nread 1").vma).toEqual([[0, 4, "rw-s", 0, "f", "mw"]]);
  });

  it("of a file on a machine without DAX, or of a knob that the kernel does not have yet, is ENOENT", () => {
    expect(run("dax f 8\nmap 0 8 rw shared fd=f", { dax: "none" }).map(({ err }) => err)).toEqual(["ENOENT", "EBADF"]);
    const knob = "sysfs /sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled always";
    expect([last(knob, { kernel: "v6.4" }).err, last(knob, { kernel: "v6.12" }).ret]).toEqual(["ENOENT", 0]);
  });

  it("of a registration opens a userfaultfd if the script never does, and nothing else does", () => {
    const before = "map 0 4 rw- p anon\n";
    expect(last(`${before}uffdwp 0 4 on`).err).toBe("EBADF");
    expect(last(`${before}uffdreg 0 4 wp\nuffdwp 0 4 on`).ret).toBe(0);
    expect(
      run(`${before}uffdreg 0 4 minor\nuffdunreg 0 4`, { kernel: "v5.10" })
        .slice(1)
        .map(({ err }) => err),
    ).toEqual(["EINVAL", "EBADF"]);
  });

  it("without snapshots has none, and with detail says what happened", () => {
    const record = last("map 0 4 rw- p anon\nwriter 0 4\nfork", { snapshots: false, detail: true });

    expect([record.vma, record.pg]).toEqual([[], []]);
    expect(record.happened).toEqual(
      expect.arrayContaining([
        {
          kind: "notify",
          call: "invalidate_range_start",
          start: 0,
          end: 4,
          event: "MMU_NOTIFY_PROTECTION_PAGE",
          flags: 1,
        },
        { kind: "flush", start: "0", end: "max", pages: -1, scope: expect.any(String) as string },
      ]),
    );
  });
});

describe("the process's own notifier", () => {
  it("is heard of no more after closevm, and again after kvmopen", () => {
    const records = run("map 0 4 rw- p anon\nwriter 0 4\nclosevm\nprotect 0 4 r--\nkvmopen\nprotect 0 4 rw-");

    expect(records[3]!.ev.filter(([kind]) => kind === "N")).toEqual([]);
    expect(records[5]!.ev.filter(([kind]) => kind === "N")).toEqual([["N", 0, 4]]);
  });

  it("need not be there", () => {
    expect(last("map 0 4 rw- p anon\nwrite 0\nunmap 0 4", { listen: false }).ev).toEqual([["T", 1, 3]]);
  });
});

describe("a device", () => {
  const upgraded = (driver: string) =>
    `device d driver ${driver}\nmap 0 2 rw- p anon\nwriter 0 2\nfork\nreap 0\ndev d read 0\nwrite 0\n`;

  it("reads what the CPU wrote, through the same frame after the upgrade", () => {
    const records = run(`${upgraded("deaf")}dev d read 0\ndev d read 1 1\ndev d read 9`);

    expect(records[4]).toMatchObject({ val: 2 });
    expect(records[6]).toMatchObject({ val: 6 });
    expect(records[8]).toMatchObject({ err: "F_TRANSLATION", at: 9 });
  });

  it("that reports its fault ends with the fault's name", () => {
    expect(last(`${upgraded("deaf")}dev d write 0`)).toMatchObject({ err: "F_PERMISSION", at: 0, done: 0 });
  });

  it("that tries again for ever is a livelock, with what repeats", () => {
    const record = last(`${upgraded("deaf-retrying")}dev d write 0`);

    expect(record).toMatchObject({
      err: "LIVELOCK",
      at: 0,
      livelock: { faults: expect.any(Number) as number, commands: 0 },
    });
    expect(record.livelock!.cycle.length).toBeGreaterThan(0);
  });

  it("shows its events in the detail, in pages of the arena", () => {
    const record = last(`${upgraded("deaf")}dev d read 1`, { detail: true });

    expect(record.happened).toContainEqual({
      kind: "device",
      device: "d",
      event: { kind: "access", vpn: 1, pfn: expect.any(Number) as number, write: false, value: 2 },
    });
  });

  it("of an unknown driver keeps the session from starting", () => {
    expect(() => session("device d driver def\nread 0")).toThrow('there is no driver "def". Did you mean "deaf"?');
  });
});

describe("a session", () => {
  it("runs on the script's kernel unless told otherwise", () => {
    const [script] = parseScripts("kernel v6.4+upgrade-event\narch arm64\nread 0");

    expect(new ScriptSession(script!).machine.kernel.profile.name).toBe("v6.4+upgrade-event");
    expect(new ScriptSession(script!, { kernel: "v5.10" }).machine.kernel).toMatchObject({
      profile: { name: "v5.10" },
      arch: { name: "arm64" },
    });
  });

  it("hands out ops as paths with the same outcome", () => {
    const one = session("map 0 4 rw- p anon\nwrite 0\nfork\ncwrite 0 0\nread 0");

    const outcomes = one.script.statements.map((statement) => one.machine.run(one.path(statement)));

    expect(outcomes).toEqual([{ ret: 0 }, { ret: 0 }, { ret: 0 }, { ret: 0 }, { val: 2 }]);
  });

  it("can be taken back with the machine's memory, children and files included", () => {
    const one = session("memfd f 4\nmap 0 4 rw- p anon\nwrite 0\nfork\ncwrite 0 0\nreap 0");
    const [create, map, write, fork, cwrite, reap] = one.script.statements;
    for (const statement of [create, map, write]) one.run(statement!);
    const before = one.machine.memory.save();
    const first = [fork, cwrite, reap].map((statement) => one.run(statement!));

    one.machine.memory.restore(before);

    expect(one.state.child(0)).toBe(0);
    expect([fork, cwrite, reap].map((statement) => one.run(statement!).ev)).toEqual(first.map(({ ev }) => ev));
  });

  it("runs a process to its end", () => {
    const record = last("map 0 4 rw- p anon\nwriter 0 4\nexit", { detail: true });

    expect(record).toMatchObject({ ret: 0, vma: [], pg: [] });
    expect(record.happened).toContainEqual({ kind: "notify", call: "release", start: "0", end: "max" });
  });
});

describe("a host", () => {
  const texts = [
    "map 0 8 rw- p anon\nwriter 0 8\nfork\ncwrite 0 0\nwrite 0\nadvise 0 4 pageout\nread 0\nunmap 0 8",
    "map 0 8 rw- s mem\nreadr 0 8\nwrite 3\nftrunc mem 2\nreadr 0 8",
    "map 0 4 r-- p filero\nreadr 0 4\nprotect 0 4 rw-\nread 99999\nwriter 0 4\nfork",
    "closevm\nmap 0 2 rw- p anon\nwrite 0\nexit",
    "map 0 32 rw- p anon\nwriter 0 32\npin 0 32\nadvise 0 32 pageout",
    "map 0 2 rw- p anon\nuffd sync\nuffdreg 0 2 missing\nread 0",
    "read 0",
  ];
  const scripts = texts.map((text) => parseScripts(text, { file: "t.mm" })[0]!);
  const options: SessionOptions = { kernel: "v6.18", arch: "x86-64", registry };

  function records(script: Script, host?: ScriptHost): OpRecord[] {
    const one = new ScriptSession(script, options, host);
    const all = script.statements.map((statement) => one.run(statement));
    one.close();
    return all;
  }

  it("gives every script the machine that it would have had alone, in any order", () => {
    const alone = scripts.map((script) => records(script));
    const host = new ScriptHost(options, "shared");

    fc.assert(
      fc.property(fc.array(fc.nat(scripts.length - 1), { minLength: 1, maxLength: 12 }), (order) => {
        for (const index of order) expect(records(scripts[index]!, host)).toEqual(alone[index]);
      }),
      { numRuns: 25 },
    );

    host.close();
  });

  it("finds its machine as it was booted after a script that broke off inside an op", () => {
    const host = new ScriptHost(options, "shared");
    const broken = new ScriptSession(scripts[0]!, options, host);
    expect(() => broken.machine.run(breaksOff(broken.machine.kernel))).toThrow("broken");
    broken.close();

    expect(records(scripts[0]!, host)).toEqual(records(scripts[0]!));
    host.close();
  });

  it("leaves a script with devices a machine of its own", () => {
    const host = new ScriptHost(options, "shared");
    const [script] = parseScripts("device d driver deaf\nmap 0 1 rw- p anon\nwrite 0\ndev d read 0");

    const one = new ScriptSession(script!, options, host);

    expect(one.machine).not.toBe(host.machine);
    expect(host.machine.devices).toEqual([]);
    one.close();
    host.close();
  });
});

/** Allocates a frame and throws with a lock held. */
function* breaksOff(k: Kernel): Path {
  yield downWrite(k.mms.mmapLock(1));
  yield step("alloc", () => k.pages.alloc());
  throw new Error("broken");
}

describe("a child with a notifier of its own", () => {
  it("loses it when it executes another program, and can be reaped", () => {
    const records = run("fork\nckvm 0\ncexec 0\ncread 0 0\nreap 0\n");

    expect(records.map(({ ret, sig }) => ret ?? sig)).toEqual([0, 0, 0, "SEGV", 0]);
  });
});
