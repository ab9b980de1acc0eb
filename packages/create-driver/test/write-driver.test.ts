import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DriverKind, KINDS, planOf, UsageError, writeDriver } from "../src/index.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "create-driver-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const read = (...path: readonly string[]): string => readFileSync(join(folder, ...path), "utf8");

describe("planOf", () => {
  it.each([
    ["acme-npu", "acme-npu"],
    ["@acme/npu", "npu"],
    ["mmu-notifier-driver-acme-npu", "acme-npu"],
  ])("calls the driver of the package %s %s", (name, driver) => {
    expect(planOf(name, "walks", folder)).toMatchObject({ driver, packageName: name, folder: join(folder, driver) });
  });

  it.each([
    ["Acme NPU", "walks", "is no name of a package"],
    ["acme_npu", "walks", "is no name of a driver"],
    ["acme-npu", "walk", "Write --kind walks or --kind mirrors"],
  ])("refuses %s, %s", (name, kind, message) => {
    expect(() => planOf(name, kind, folder)).toThrow(message);
  });

  it("refuses a folder that has something in it", () => {
    writeFileSync(join(folder, "mine.ts"), "");

    expect(() => planOf("acme-npu", "walks", folder, ".")).toThrow(UsageError);
  });
});

describe("writeDriver", () => {
  it.each(Object.keys(KINDS) as DriverKind[])(
    "writes a package that nothing of the template's name is left in: %s",
    (kind) => {
      const files = writeDriver(planOf("@zenith/tensor-unit", kind, folder), "3.2.1");

      expect(files).toEqual([
        ".github/workflows/ci.yml",
        ".gitignore",
        "README.md",
        "package.json",
        "race.mm",
        "src/index.ts",
        "test/conformance.test.ts",
        "test/driver.test.ts",
        "tsconfig.json",
      ]);
      for (const file of files) {
        expect(existsSync(join(folder, "tensor-unit", file))).toBe(true);
        expect(read("tensor-unit", file)).not.toContain("acme");
      }
      expect(read("tensor-unit", "src/index.ts")).toContain('name: "tensor-unit"');
    },
  );

  it("asks for the sdk as a peer, of its own version", () => {
    writeDriver(planOf("acme-npu", "walks", folder), "3.2.1");

    const manifest = JSON.parse(read("acme-npu", "package.json")) as Record<string, Record<string, string>>;
    expect(manifest["keywords"]).toEqual(["mmu-notifier-driver"]);
    expect(manifest["peerDependencies"]).toEqual({ "@mmu-notifier/sdk": "^3.2.1" });
    expect(manifest["dependencies"]).toBeUndefined();
    expect(manifest["devDependencies"]).toMatchObject({ "@mmu-notifier/testkit": "^3.2.1" });
  });
});
