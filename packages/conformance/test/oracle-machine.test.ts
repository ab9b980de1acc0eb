import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  buildInterpreter,
  kernelFor,
  machineSettings,
  missingOracleParts,
  type Surroundings,
  surroundings,
} from "@mmu-notifier/conformance";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const FILES: Readonly<Record<string, string>> = {
  "/proc/filesystems": "nodev\tsysfs\nnodev\ttracefs\n\text4\n",
  "/proc/kpagecount": "",
  "/bin/cc": "",
  "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
  "/sys/kernel/mm/transparent_hugepage/shmem_enabled": "always within_size advise [never] deny force\n",
  "/sys/kernel/mm/transparent_hugepage/use_zero_page": "1\n",
  "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled": "always inherit madvise [never]\n",
  "/proc/sys/vm/mmap_min_addr": "65536\n",
  "/sys/class/bdi/8:1/read_ahead_kb": "128\n",
  "/sys/devices/system/node/node1": "",
};

function machine(changes: Partial<Surroundings> = {}, files: Readonly<Record<string, string>> = FILES): Surroundings {
  return {
    platform: "linux",
    arch: "x64",
    release: "6.18.44",
    uid: 0,
    env: { PATH: "/usr/bin:/bin" },
    read: (path) => files[path],
    usable: () => true,
    exists: (path) => path in files,
    deviceOf: () => "8:1",
    kernelConfig: () => "CONFIG_MEM_SOFT_DIRTY=y\n",
    ...changes,
  };
}

const what = (changes: Partial<Surroundings>, files = FILES): readonly string[] =>
  missingOracleParts(machine(changes, files)).map((part) => part.what);

describe("what is missing", () => {
  test("nothing on a machine that has it all", () => expect(what({})).toEqual([]));

  test("everything that is missing is named at once, each with what to do", () => {
    const missing = missingOracleParts(
      machine(
        { release: "6.1.0", arch: "arm64", uid: 1000, env: { PATH: "/bin", CC: "clang-19" }, usable: () => false },
        {},
      ),
    );

    expect(missing.map((part) => part.what)).toEqual([
      "Linux 6.7 or newer",
      "an x86-64 machine",
      "root",
      "the C compiler clang-19",
      "tracefs",
      "/dev/kvm",
      "/proc/kpagecount",
    ]);
    expect(missing.every(({ remedy }) => remedy.length > 10)).toBe(true);
  });

  test("on another system only Linux", () => expect(what({ platform: "darwin", uid: 501 })).toEqual(["Linux"]));

  test("a compiler may be a path", () => {
    expect(what({ env: { CC: "/bin/cc" } })).toEqual([]);
    expect(what({ env: { CC: "/opt/cc" } })).toEqual(["the C compiler /opt/cc"]);
  });
});

describe("settings", () => {
  test("knobs become the model's words", () => {
    expect(machineSettings(machine(), "/var/tmp")).toEqual({
      config: {
        cpus: 1,
        memlockLimit: -1,
        privileged: true,
        nodes: 2,
        softDirty: true,
        shmemThp: "never",
        thp: "madvise",
        useZeroPage: true,
        mmapMinPage: 16,
        readAheadPages: 32,
      },
      notes: [],
    });
  });

  test("what the model does not know is said", () => {
    const files = {
      ...FILES,
      "/sys/kernel/mm/transparent_hugepage/shmem_enabled": "always [within_size] advise never deny force\n",
      "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled": "[always] inherit madvise never\n",
      "/sys/kernel/mm/ksm/run": "1\n",
    };

    expect(machineSettings(machine({}, files), "/var/tmp").notes).toEqual([
      "shmem_enabled is within_size",
      "folios of 64 KiB are enabled (always)",
      "ksmd is running",
    ]);
  });

  test("the kernel is the newest known one that is not newer than the release", () => {
    const known = ["v6.4+upgrade-event", "v6.12", "v5.10", "v6.1", "v6.18"];

    expect(kernelFor("6.18.44-fc", known)).toBe("v6.18");
    expect(kernelFor("6.17.2", known)).toBe("v6.12");
    expect(kernelFor("7.0.0-rc1", known)).toBe("v6.18");
    expect(kernelFor("4.19.0", known)).toBe("v5.10");
  });
});

describe("the interpreter", () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "oracle-cache-"))));
  afterEach(() => rmSync(folder, { recursive: true }));

  test("a compiler that fails is quoted, and leaves nothing behind", async () => {
    const cc = join(folder, "cc");
    writeFileSync(cc, "#!/bin/sh\necho 'oracle.h: no luck' >&2\nexit 1\n", { mode: 0o755 });

    await expect(buildInterpreter({ CC: cc, XDG_CACHE_HOME: folder })).rejects.toMatchObject({
      code: "ORACLE_BUILD",
      message: expect.stringContaining("oracle.h: no luck") as string,
    });
    expect(readdirSync(join(folder, "mmu-notifier"))).toEqual([]);
  });

  test("it is compiled once for each compiler", async () => {
    const cc = join(folder, "cc");
    // Writes what it was asked to write, and a line for each time that it ran.
    writeFileSync(cc, `#!/bin/sh\necho >> ${folder}/runs\nwhile [ "$1" != -o ]; do shift; done\necho > "$2"\n`, {
      mode: 0o755,
    });
    const env = { CC: cc, XDG_CACHE_HOME: folder };

    const first = await buildInterpreter(env);
    const second = await buildInterpreter(env);

    expect(second).toBe(first);
    expect(statSync(join(folder, "runs")).size).toBe(1);
  });

  test("its sources compile without a warning where there is a compiler", async () => {
    const here = surroundings();
    if (missingOracleParts(here).some(({ what }) => what === "Linux" || what.startsWith("the C compiler")))
      await expect(buildInterpreter({ CC: "no-such-compiler", XDG_CACHE_HOME: folder })).rejects.toThrow(
        /no-such-compiler/,
      );
    else
      expect(statSync(await buildInterpreter({ ...here.env, XDG_CACHE_HOME: folder })).mode & 0o111).toBeGreaterThan(0);
  });
});
