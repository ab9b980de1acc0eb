import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingOracleParts } from "@mmu-notifier/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Mmun } from "./mmun.js";

const SCRIPTS = `== upgrade arena 16
map 0 4 rw- p anon
writer 0 4
fork
reap 0
write 0
== unmap arena 16
map 0 8 rw- p mem
writer 0 8
unmap 2 3
read 2
`;

let mmun: Mmun;
let folder: string;
/** What this machine lacks: then every run has to say exactly that. */
const missing = missingOracleParts();

beforeAll(async () => {
  mmun = await Mmun.build();
  folder = mkdtempSync(join(tmpdir(), "mmun-oracle-"));
  writeFileSync(join(folder, "two.mm"), SCRIPTS);
  writeFileSync(join(folder, "device.mm"), "device d driver kvm\nwrite 0\n");
  writeFileSync(join(folder, "long.mm"), "map 0 4 rw- p huge\nadvise 0 4 pageout\nwait 20000\n");
}, 60_000);

afterAll(() => {
  mmun.remove();
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);

function expectMissing(stderr: string): void {
  const list = missing.map(({ what, remedy }) => `${what} (${remedy})`).join("; ");
  expect(stderr).toContain(`the oracle needs what this machine lacks: ${list}`);
}

const LOG = "mmu-notifier-oracle.";

/** The process that started `pid`; undefined when there is no such process. */
function parentOf(pid: number): number | undefined {
  try {
    // "PID (NAME) STATE PPID ...", where the name may hold anything.
    return Number(/^.*\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}

/** What the log of the run's own keeper says; other runs on this machine have logs of their own. */
function ownLog(run: number): { readonly path: string; readonly text: string } | undefined {
  const name = readdirSync("/run").find(
    (file) => file.startsWith(LOG) && parentOf(Number(file.slice(LOG.length))) === run,
  );
  if (name === undefined) return undefined;
  const path = join("/run", name);
  return { path, text: readFileSync(path, "utf8") };
}

/** What the log says was changed, as it is now: the size of the pool of huge pages, and whether the files and folders are there. */
function changed(log: string): object {
  const lines = log
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
  const paths = lines.filter(([what]) => what !== "added" && what !== "write").map(([, path]) => path!);
  const swaps = readFileSync("/proc/swaps", "utf8");
  return {
    pool: readFileSync("/proc/sys/vm/nr_hugepages", "utf8"),
    there: paths.filter((path) => existsSync(path) || swaps.includes(path)),
  };
}

describe("mmun oracle", () => {
  test("compares scripts on this kernel with the model, or says exactly what is missing", () => {
    const { code, stdout, stderr } = mmun.run(["oracle", at("two.mm"), "--json"]);
    if (missing.length > 0) {
      expect(code).toBe(2);
      expectMissing(stderr);
      return;
    }
    expect([code, stderr]).toEqual([0, ""]);
    const { sets } = JSON.parse(stdout) as { readonly sets: readonly Record<string, unknown>[] };
    expect(sets[0]).toMatchObject({ scripts: 2, ops: 9, equal: 9, arch: "x86-64" });
    expect(sets[0]!["fields"]).toHaveProperty("notifier", { compared: 9, equal: 9 });
  });

  test("a model of another kernel differs where that kernel did", () => {
    writeFileSync(at("empty-table.mm"), "== s arena 4096\nmap 0 2048 rw- p anon\nwrite 1500\nprotect 0 2048 r--\n");
    const { code, stdout, stderr } = mmun.run(["oracle", at("empty-table.mm"), "--kernel", "v5.10"]);
    if (missing.length > 0) return expectMissing(stderr);
    expect(code).toBe(1);
    expect(stdout).toContain('got      [["N",1024,2048]]');
  });

  test("an interrupt leaves the machine as it was", async () => {
    const before = missing.length > 0 ? undefined : changed("");
    const run = mmun.start(["oracle", at("long.mm")]);
    let stderr = "";
    run.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const ended = once(run, "close");
    if (before === undefined) {
      await ended;
      return expectMissing(stderr);
    }
    // The log of what was changed appears before the first change; it is complete once the script runs.
    let log = ownLog(run.pid!);
    while (log?.text.includes("swapoff") !== true) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      log = ownLog(run.pid!);
    }
    run.kill("SIGINT");
    await ended;

    expect(run.exitCode).toBe(130);
    expect(stderr).toBe("mmun: interrupted; the machine is as it was before.\n");
    expect(existsSync(log.path)).toBe(false);
    expect(changed(log.text)).toEqual(before);
  });

  test("says which op the kernel cannot run", () => {
    const { code, stderr } = mmun.run(["oracle", at("device.mm")]);
    if (missing.length > 0) return expectMissing(stderr);
    expect(code).toBe(2);
    expect(stderr).toContain('device.mm:1: "device d" cannot run on this kernel: devices exist in the model only');
  });

  test("a file without scripts is wrong use", () => {
    writeFileSync(at("empty.mm"), "# nothing\n");
    const { code, stderr } = mmun.run(["oracle", at("empty.mm")]);
    expect(code).toBe(2);
    expect(stderr).toContain("empty.mm, found none");
  });
});
