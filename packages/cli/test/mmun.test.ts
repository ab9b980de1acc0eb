import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMMANDS } from "../src/commands/index.js";
import { Mmun } from "./mmun.js";

const UPGRADE = `device smmu0 driver arm-smmu
== upgrade arena 16
kernel v6.4
map 0 4 rw- p anon
writer 0 4
fork
reap 0
dev smmu0 read 0
write 0
dev smmu0 write 0
== quiet
map 0 4 rw- p anon
write 3
`;

/** A driver whose subscriber throws. */
const THROWS = `export default {
  name: "throws",
  sdk: 1,
  summary: "throws",
  declares: { pageTable: "mirror", onMissingRight: "fault", resolvesFaultsInSoftware: true, reachedByBroadcast: [], filters: [] },
  create: ({ notifications }) => ({
    translation: { translate: function* () { return -0x10; } },
    fault: { name: "none", handle: function* () { return 2; } },
    connection: notifications.subscribe(() => { throw new Error("out of luck"); }),
    *unbind() {},
    entries: () => [],
  }),
};
`;

let mmun: Mmun;
let folder: string;

beforeAll(async () => {
  mmun = await Mmun.build();
  folder = mkdtempSync(join(tmpdir(), "mmun-"));
  writeFileSync(join(folder, "upgrade.mm"), UPGRADE);
  writeFileSync(join(folder, "empty.mm"), "# nothing\n");
  writeFileSync(join(folder, "wrong.mm"), "== a\nunmpa 0 4\n");
  writeFileSync(join(folder, "binary.mm"), new Uint8Array([0xff, 0x00, 0x13]));
}, 60_000);

afterAll(() => {
  mmun.remove();
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);

describe("mmun run", () => {
  it("shows faults, notifications, flushes, commands and results, and ends with 0", () => {
    const { code, stdout, stderr } = mmun.run([
      "run",
      at("upgrade.mm"),
      "--script",
      "quiet",
      "--kernel",
      "v6.12",
      "--arch",
      "x86-64",
    ]);

    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("quiet  v6.12 on x86-64");
    expect(stdout).toMatch(/1 {2}write 3 +write 3 +ok/);
    expect(stdout).toContain("2 ops, 1 fault, 0 range notifications, 0 CPU TLB flushes");
  });

  it("ends with 1 and a verdict when a device can never go on", () => {
    const { code, stdout } = mmun.run(["run", at("upgrade.mm"), "--script", "upgrade"]);

    expect(code).toBe(1);
    expect(stdout).toMatch(
      /LIVELOCK op 6, dev smmu0 write 0: after \d+ attempts with \d+ faults and \d+ commands the whole machine is where it was before/,
    );
    expect(stdout).toContain("start, end PROTECTION_PAGE [0,4)");
    expect(stdout).toMatch(/smmu0 \(iotlb hit, F_PERMISSION, retry\) ×\d/);
  });

  it("ends with 1 and stops where a path breaks a rule of the kernel: the patch's call in __wp_page_copy_user", () => {
    const { code, stdout, stderr } = mmun.run(["run", "examples/01-run-the-story/under-lock.mm"]);

    expect([code, stderr]).toEqual([1, ""]);
    expect(stdout).toMatch(/5 {2}cwrite 0 0 +write 0, forbidden of c0 +CONTEXT/);
    expect(stdout).toMatch(
      /CONTEXT op 5, cwrite 0 0: sleeping function called from invalid context: task c0 in .*__wp_page_copy_user calls mmu_notifier_invalidate_range_start under ptl/,
    );
  });

  it("says how many ops are left when it stops, and has the rule in JSON", () => {
    const script = `${readFileSync("examples/01-run-the-story/under-lock.mm", "utf8")}read 0\n`;

    expect(mmun.run(["run", "-"], { input: script }).stdout).toContain("1 op after it was not run");
    expect(JSON.parse(mmun.run(["run", "-", "--json"], { input: script }).stdout)).toMatchObject({
      broken: { verdict: "CONTEXT", code: "SLEEP_IN_ATOMIC" },
      records: { length: 6 },
    });
  });

  it("ends with 2 and names driver, device and event when a driver throws; the rest of the machine goes on", () => {
    writeFileSync(at("throws.mjs"), THROWS);

    const { code, stdout, stderr } = mmun.run([
      "run",
      at("upgrade.mm"),
      "--script",
      "upgrade",
      "--driver",
      `bad=${at("throws.mjs")}`,
      "--kernel",
      "v6.4+upgrade-event-fixed",
    ]);

    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^mmun: driver throws \(.*throws\.mjs\), device bad, threw during start MMU_NOTIFY_PROTECTION_PAGE: out of luck\. The rest of the machine went on; \d more like it\.\n$/,
    );
    expect(stdout).toContain("7 ops");
    expect(stdout).not.toContain("LIVELOCK");
  });

  it("takes another kernel, and then the same device goes on", () => {
    const { code, stdout } = mmun.run([
      "run",
      at("upgrade.mm"),
      "--script",
      "upgrade",
      "--kernel",
      "v6.4+upgrade-event-fixed",
    ]);

    expect(code).toBe(0);
    expect(stdout).toContain("start, end PROTECTION_UPGRADE [0,1)");
    expect(stdout).not.toContain("LIVELOCK");
  });

  it("takes another driver with options for the script's devices", () => {
    const { code, stdout } = mmun.run(["run", at("upgrade.mm"), "--script", "upgrade", "--driver", "iommu-btm"]);

    expect(code).toBe(0);
    expect(stdout).toMatch(/smmu0 iommu-btm \(@mmu-notifier\/driver-iommu-btm\)/);
  });

  it("prints one JSON object a script with --json", () => {
    const { code, stdout } = mmun.run(["run", at("upgrade.mm"), "--json"]);

    const runs = stdout
      .trim()
      .split("\n")
      .map(
        (line) =>
          JSON.parse(line) as {
            script: string;
            records: { op: string; livelock?: object }[];
            devices: { name: string }[];
          },
      );
    expect(code).toBe(1);
    expect(runs.map(({ script, records }) => [script, records.length])).toEqual([
      ["upgrade", 7],
      ["quiet", 2],
    ]);
    expect(runs[0]!.records[6]!.livelock).toBeDefined();
    expect(runs[0]!.records[1]).toMatchObject({
      ev: [
        ["F", 0, 6],
        ["F", 1, 6],
        ["F", 2, 6],
        ["F", 3, 6],
      ],
      pg: [[0, 4, "PX", 1, 1]],
    });
  });

  it("reads standard input", () => {
    const { code, stdout } = mmun.run(["run", "-"], { input: "map 0 1 rw- p anon\n" });

    expect(code).toBe(0);
    expect(stdout).toContain("stdin  v6.12 on arm64");
  });

  it("shows VMAs and pages with --pages", () => {
    const { stdout } = mmun.run(["run", "-", "--pages"], { input: "map 0 2 rw- p anon\nwrite 1\n" });

    expect(stdout).toContain("vma [0,2) rw-p anon mw ac");
    expect(stdout).toContain("pg [1,2) PX #1 mapped 1");
  });

  it.each([
    [["run"], "missing required argument 'file'"],
    [
      ["run", "no-such.mm"],
      "cannot read no-such.mm: there is no such file. Give the path of a script, or - for standard input",
    ],
    [["run", "EMPTY"], "holds no op. A script is one op a line; `mmun list ops` lists them"],
    [["run", "WRONG"], ':2:1: expected an op, found "unmpa". Did you mean "unmap"?'],
    [["run", "BINARY"], ":1:1: expected a text file in UTF-8, but its bytes are not UTF-8"],
    [["run", "UPGRADE", "--script", "upgrad"], 'has no script "upgrad". Did you mean "upgrade"? It has upgrade, quiet'],
    [["run", "UPGRADE", "--kernel", "v6.3"], 'there is no kernel "v6.3"'],
    [["run", "UPGRADE", "--arch", "arm46"], 'there is no architecture "arm46". Did you mean "arm64"'],
    [["run", "UPGRADE", "--driver", "arm-smu"], 'there is no driver "arm-smu". Did you mean "arm-smmu"?'],
    [["run", "UPGRADE", "--driver", "./none.ts"], "there is no file"],
    [["run", "UPGRADE", "--driver", "arm-smmu:=3"], "--driver arm-smmu:=3: expected key=value after the colon"],
    [["run", "UPGRADE", "--driver", "arm-smmu:colour=red"], "has no option colour"],
    [["run", "UPGRADE", "--jsno"], "unknown option '--jsno' (Did you mean --json?)"],
    [["rnu", "UPGRADE"], "unknown command 'rnu' (Did you mean run?)"],
    [["rnu", "--help"], "unknown command 'rnu' (Did you mean run?)"],
    [["help", "rnu"], "unknown command 'rnu' (Did you mean run?)"],
    [["replay", "gti"], 'there is no file gti, and no trace of that name ships. Did you mean "git"?'],
    [["replay", "no-such.trace.gz"], "no-such.trace.gz: cannot be read: there is no such file"],
  ])("%j ends with 2 and says why in one line", (words, message) => {
    const files: Record<string, string> = {
      EMPTY: "empty.mm",
      WRONG: "wrong.mm",
      BINARY: "binary.mm",
      UPGRADE: "upgrade.mm",
    };

    const { code, stdout, stderr } = mmun.run(
      words.map((word) => (files[word] === undefined ? word : at(files[word]))),
    );

    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).toMatch(/^mmun: /);
    expect(stderr).not.toMatch(/\bat .*:\d+:\d+\)/);
  });
});

describe("mmun list", () => {
  it("shows what ships and where each comes from", () => {
    const { code, stdout } = mmun.run(["list"]);

    expect(code).toBe(0);
    expect(stdout).toMatch(/Drivers\n {2}arm-smmu .*@mmu-notifier\/driver-arm-smmu\n/);
    expect(stdout).toMatch(/v6\.4\+upgrade-event .*@mmu-notifier\/core/);
    expect(stdout).toContain("Architectures");
  });

  it("prints JSON, one kind at a time", () => {
    const { stdout } = mmun.run(["list", "archs", "--json"]);

    expect(Object.keys(JSON.parse(stdout) as object)).toEqual(["archs"]);
  });

  it("lists the ops of the language", () => {
    expect(mmun.run(["list", "ops"]).stdout).toContain("unmap S L");
  });

  it("refuses another word", () => {
    expect(mmun.run(["list", "devices"])).toMatchObject({ code: 2, stdout: "" });
  });
});

describe("mmun", () => {
  it.each([[["--help"]], [["run", "--help"]], [["help", "list"]]])(
    "%j prints help with examples and ends with 0",
    (words) => {
      const { code, stdout, stderr } = mmun.run(words);

      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/^Usage: mmun/);
      expect(stdout).toContain("Examples:");
    },
  );

  it.each(COMMANDS.map(({ name }) => name))("%s has examples in its help and a row in the README", (name) => {
    expect(mmun.run([name, "--help"]).stdout).toMatch(/^Examples:\n {2}.*mmun/m);
    expect(readFileSync("packages/cli/README.md", "utf8")).toMatch(new RegExp(`^\\| .*\`mmun ${name}\\b`, "m"));
  });

  it("prints its version", () => {
    expect(mmun.run(["--version"])).toMatchObject({ code: 0, stdout: "0.1.0\n" });
  });
});
