import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mmun } from "./mmun.js";

let mmun: Mmun;
let folder: string;
beforeAll(async () => {
  mmun = await Mmun.build();
  folder = mkdtempSync(join(tmpdir(), "mmun-wrong-"));
  mkdirSync(join(folder, "folder"));
  writeFileSync(
    join(folder, "garbage"),
    Uint8Array.from({ length: 256 }, (_, i) => 255 - i),
  );
  writeFileSync(join(folder, "empty"), "");
  writeFileSync(join(folder, "one.mm"), "device smmu0 driver arm-smmu\nmap 0 1 rw- p anon\n");
  writeFileSync(join(folder, "two.mm"), "== first\nread 0\n== second\nread 0\n");
});
afterAll(() => {
  mmun.remove();
  rmSync(folder, { recursive: true });
});

/** Wrong use ends with 2, one sentence on stderr, nothing on stdout and no word of Node's. */
function refused(argv: readonly string[], message: string): void {
  const { code, stdout, stderr } = mmun.run(argv, { cwd: folder });
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(message);
  expect(stderr.trim().split("\n")).toHaveLength(1);
  expect(stderr).not.toMatch(/ENOENT|EISDIR|internal error|\bat .*:\d+:\d+/);
}

describe("options that would do nothing are refused:", () => {
  it.each([
    [["check", "arm-smmu", "--driver", "kvm"], "--driver does nothing for a driver: arm-smmu is the driver"],
    [["check", "arm-smmu", "--script", "a"], "--script does nothing for a driver (arm-smmu)"],
    [["check", "one.mm", "--scenarios", "X1"], "--scenarios does nothing for a script"],
    [["check", "one.mm", "--basic"], "--basic does nothing for a script"],
    [["check", "kvm", "--scenarios", "X1", "--basic"], "--basic does nothing with --scenarios"],
    [["check", "kvm", "--export", "json", "--json"], "--json does nothing with --export"],
    [["check", "kvm", "--replay", "X1/a", "--bound", "9"], "--bound does nothing with --replay"],
    [["check", "kvm", "--replay", "X1/a", "--fair", "cpu"], "--fair does nothing with --replay"],
    [["check", "kvm", "--replay", "X1/a", "--scenarios", "X2"], "--scenarios does nothing with --replay"],
    [["check", "kvm", "--replay", "X1/a", "--json"], "`--export json` prints the steps as JSON"],
    [["run", "one.mm", "--export", "a", "--json"], "--json does nothing with --export"],
    [["run", "one.mm", "--export", "a", "--pages"], "--pages does nothing with --export"],
    [["conform", "folder", "--json", "--brief"], "--brief does nothing with --json"],
    [["conform", "folder", "--brief", "--show", "1"], "--show does nothing with --brief"],
    [["oracle", "one.mm", "--seed", "2"], "--seed does nothing without --fuzz"],
    [["oracle", "one.mm", "--profile", "thp"], "--profile does nothing without --fuzz"],
    [["oracle", "one.mm", "--out", "a"], "--out does nothing without --fuzz"],
    [["museum", "--list", "--all"], "--all does nothing with --list"],
    [["litmus", "--json", "--verbose"], "--verbose does nothing with --json"],
    [["litmus", "--agents", "all", "--verdicts", "empty"], "--verdicts does nothing with --agents all"],
  ])("%j", (argv, message) => refused(argv, message));
});

describe("what can be meant in two ways is refused:", () => {
  it("two drivers without a device's name for a script that has devices", () => {
    for (const command of ["run", "check"])
      refused(
        [command, "one.mm", "--driver", "kvm", "--driver", "arm-smmu"],
        "say which is whose, as in --driver smmu0=kvm",
      );
  });

  it("a schedule is run on one script", () => {
    refused(
      ["check", "two.mm", "--replay", "2deb:A"],
      "two.mm holds 2 scripts. Say which with --script: first, second",
    );
  });

  it("a driver in the place of a script, and a script in that of a driver, is told what the other is", () => {
    refused(["check", "garbage"], "garbage is neither a driver nor a script");
    refused(["check", "folder"], "./folder for a driver");
  });
});

describe("files that cannot be used say why:", () => {
  it.each([
    ["run", "nosuch.mm", "cannot read nosuch.mm: there is no such file"],
    ["run", "folder", "cannot read folder: it is a folder"],
    ["run", "garbage", "expected a text file in UTF-8"],
    ["run", "empty", "empty holds no op"],
    ["run", "-", "- holds no op"],
    ["check", "nosuch.mm", "cannot read nosuch.mm: there is no such file"],
    ["check", "-", "- holds no op"],
    ["conform", "nosuch", "cannot read nosuch: there is no such file"],
    ["conform", "one.mm/x", "cannot read one.mm/x: a part of its path is no folder"],
    ["conform", "folder", "expected recorded corpora"],
    ["conform", "garbage", "expected a JSON record"],
    ["conform", "empty", "expected a recorded script in empty, found none"],
    ["conform", "-", "a corpus is not read from standard input"],
    ["oracle", "nosuch.mm", "cannot read nosuch.mm: there is no such file"],
    ["oracle", "empty", "expected a script in empty, found none"],
    ["litmus", "nosuch", "cannot read nosuch: there is no such file"],
    ["litmus", "folder", "no litmus tests in folder"],
    ["litmus", "garbage", "expected a litmus test, a text in UTF-8"],
    ["litmus", "empty", "a litmus test begins with its architecture"],
    ["replay", "nosuch.trace", "there is no such file"],
    ["replay", "folder", "it is a folder"],
    ["replay", "empty", "it is empty"],
  ])("mmun %s %s", (command, file, message) => refused([command, file], message));

  it("mmun litmus --verdicts, mmun oracle --out", () => {
    refused(["litmus", "--verdicts", "nosuch"], "cannot read nosuch: there is no such file");
    refused(["oracle", "--fuzz", "1", "--out", "nosuch/a"], "--out nosuch/a: cannot be written: there is no such file");
  });
});
