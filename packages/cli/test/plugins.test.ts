import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { node } from "../src/diagnose.js";
import { Mmun } from "./mmun.js";

let mmun: Mmun;
let folder: string;

beforeAll(async () => {
  mmun = await Mmun.build();
});
afterAll(() => mmun.remove());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mmun-plugins-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const DRIVER = (name: string, sdk = 1): string => `export default {
  name: ${JSON.stringify(name)}, sdk: ${sdk}, summary: "a driver",
  declares: { pageTable: "mirror", onMissingRight: "fault", resolvesFaultsInSoftware: true, reachedByBroadcast: [], filters: [] },
  create: () => { throw new Error("not bound here"); },
};`;

/** Installs a package with the driver keyword; without a source its entry is not there. */
function install(name: string, source?: string): void {
  const directory = join(folder, "node_modules", name);
  mkdirSync(directory, { recursive: true });
  const manifest = { name, version: "1.0.0", type: "module", exports: "./index.js", keywords: ["mmu-notifier-driver"] };
  writeFileSync(join(directory, "package.json"), JSON.stringify(manifest));
  if (source !== undefined) writeFileSync(join(directory, "index.js"), source);
}

interface Found {
  readonly verdict: string;
  readonly what: string;
  readonly remedy?: string;
}

function doctor(): { readonly code: number | null; readonly wrong: readonly Found[]; readonly ok: readonly string[] } {
  const { code, stdout } = mmun.run(["doctor", "--json"], { cwd: folder });
  const found = JSON.parse(stdout) as readonly Found[];
  return {
    code,
    wrong: found.filter(({ verdict }) => verdict === "wrong"),
    ok: found.filter(({ verdict }) => verdict === "ok").map(({ what }) => what),
  };
}

describe("mmun doctor", () => {
  it("exits 0 when nothing is wrong, and says what it looked at", () => {
    install("acme-npu", DRIVER("acme-npu"));

    const { code, ok, wrong } = doctor();

    expect({ code, wrong }).toEqual({ code: 0, wrong: [] });
    expect(ok).toContain(`Node ${process.versions.node}`);
    expect(ok).toContain("driver acme-npu (acme-npu@1.0.0)");
    expect(ok).toContain("driver kvm (@mmu-notifier/driver-kvm, ships)");
  });

  it.each([
    ["does not load", "throw new Error('no licence');", "no licence", "Repair it"],
    [
      "is for another sdk",
      DRIVER("acme-npu", 2),
      "is written for sdk 2, this is sdk 1",
      "Install a version of acme-npu",
    ],
    [
      "exports nothing",
      "export const driver = 1;",
      "its default export is undefined",
      "Export default defineSecondaryMmu",
    ],
    ["is not built", undefined, "its entry ./index.js is not there", "Run its build"],
    [
      "takes a name that ships",
      DRIVER("kvm"),
      "two drivers are called kvm: one from @mmu-notifier/driver-kvm, one from acme-npu@1.0.0",
      "Take one out",
    ],
  ])(
    "exits 1 and says the remedy when a package %s; the others are looked at all the same",
    (_, source, what, remedy) => {
      install("acme-npu", source);
      install("zenith", DRIVER("zenith"));

      const { code, ok, wrong } = doctor();

      expect(code).toBe(1);
      expect(wrong).toHaveLength(1);
      expect(wrong[0]!.what).toContain(what);
      expect(wrong[0]!.remedy).toContain(remedy);
      expect(ok).toContain("driver zenith (zenith@1.0.0)");
    },
  );

  it("finds a second copy of the sdk, and who has it", () => {
    install("acme-npu", DRIVER("acme-npu"));
    const copy = join(folder, "node_modules/acme-npu/node_modules/@mmu-notifier/sdk");
    mkdirSync(copy, { recursive: true });
    writeFileSync(join(copy, "package.json"), JSON.stringify({ name: "@mmu-notifier/sdk", version: "0.0.9" }));

    const { code, wrong } = doctor();

    expect(code).toBe(1);
    expect(wrong[0]!.what).toContain("acme-npu has a copy of @mmu-notifier/sdk of its own (0.0.9, in ");
    expect(wrong[0]!.remedy).toContain("Make @mmu-notifier/sdk a peer dependency of acme-npu");
  });

  it("looks at the package in whose folder it runs", () => {
    writeFileSync(
      join(folder, "package.json"),
      JSON.stringify({
        name: "my-npu",
        version: "0.0.1",
        exports: "./dist/index.js",
        keywords: ["mmu-notifier-driver"],
      }),
    );

    expect(doctor().wrong[0]!.what).toBe("my-npu@0.0.1: its entry ./dist/index.js is not there");
  });

  it("exits 2 for a folder that is not there", () => {
    const { code, stderr } = mmun.run(["doctor", join(folder, "nowhere")]);

    expect(code).toBe(2);
    expect(stderr).toContain("Name the one where the packages are installed");
  });

  it.each([
    ["20.18.9", "wrong"],
    ["20.19.0", "ok"],
    ["18.20.0", "wrong"],
    ["24.0.0", "ok"],
  ])("judges Node %s: %s", (version, verdict) => {
    expect(node(version).verdict).toBe(verdict);
  });
});

const SCRIPT = "== s arena 8\nmap 0 4 rw- p anon\nwrite 0\n";

const PLUGINS = `export default [
  { kind: "invariant", invariant: { name: "no-process-grows", summary: "no process maps more than 2 pages",
    check: (machine) => machine.processes[0] && machine.kernel.pages && globalThis.limit !== 0 ? "it maps 4 pages" : undefined } },
  { kind: "exporter", exporter: { name: "count", summary: "how many ops", export: ({ records }) => "ops: " + records.length } },
  { kind: "exporter", exporter: { name: "broken", summary: "throws", export: () => { throw new Error("no ink"); } } },
  { kind: "trace-reader", reader: { name: "acme", summary: "the traces of acme's emulator",
    recognizes: (head) => head.startsWith("ACME"), convert: (text) => text.split("\\n").slice(1).join("\\n") } },
];`;

describe("plugins of other kinds", () => {
  const run = (...args: readonly string[]) => {
    writeFileSync(join(folder, "plugins.mjs"), PLUGINS);
    writeFileSync(join(folder, "s.mm"), SCRIPT);
    return mmun.run([...args, "--plugin", "./plugins.mjs"], { cwd: folder });
  };

  it("are listed with where they come from", () => {
    const { code, stdout } = run("list", "plugins");

    expect(code).toBe(0);
    for (const line of [
      "no-process-grows  invariant: no process",
      "count",
      "acme              trace-reader: the traces",
    ])
      expect(stdout).toContain(line);
    expect(stdout).toContain("./plugins.mjs");
  });

  it("make a finding of a broken invariant, once, with the op after which it was", () => {
    const { code, stdout } = run("run", "s.mm");

    expect(code).toBe(1);
    expect(stdout).toContain("invariant no-process-grows (./plugins.mjs), after map 0 4 rw- p anon: it maps 4 pages");
    expect(stdout.match(/it maps 4 pages/g)).toHaveLength(1);
  });

  it("print what an exporter makes of a script", () => {
    expect(run("run", "s.mm", "--export", "count").stdout).toBe("ops: 2\n");
  });

  it("are named when they throw, and when they are not there", () => {
    const thrown = run("run", "s.mm", "--export", "broken");
    expect(thrown.code).toBe(2);
    expect(thrown.stderr).toContain("exporter broken (./plugins.mjs) threw: no ink.");

    const absent = run("run", "s.mm", "--export", "cuont");
    expect(absent.code).toBe(2);
    expect(absent.stderr).toContain('Did you mean "count"?');
  });

  it("read traces of another format", () => {
    writeFileSync(join(folder, "t.acme"), "ACME 1\nL 10 1\nS 10 1\n");

    expect(run("replay", "t.acme", "--json").code).toBe(0);
    expect(mmun.run(["replay", "t.acme"], { cwd: folder }).code).toBe(2);
  });
});
