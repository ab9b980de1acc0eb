import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkFloors } from "../check-floors.mjs";

let root;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "floors-"));
  write("tsconfig.build.json", JSON.stringify({ references: [] }));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(path, text) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function addPackage(path, dependencies, files) {
  const scoped = Object.fromEntries(dependencies.map((name) => [`@mmu-notifier/${name}`, "^0.1.0"]));
  write(`${path}/package.json`, JSON.stringify({ name: path, dependencies: scoped }, null, 2));
  for (const [name, text] of Object.entries(files)) write(`${path}/${name}`, text);
}

describe("the floor rule", () => {
  it("lets a package import from below what it declares", () => {
    addPackage("packages/bus", ["steps"], { "src/index.ts": `import type { Task } from "@mmu-notifier/steps";` });
    expect(checkFloors(root)).toEqual([]);
  });

  it("names file, line, rule and remedy of an import that goes up", () => {
    addPackage("packages/bus", [], {
      "src/a/b.ts": `// import "@mmu-notifier/cli"\n\nexport * from "@mmu-notifier/core";`,
    });
    expect(checkFloors(root)).toEqual([
      expect.stringMatching(
        /^packages\/bus\/src\/a\/b\.ts:3: "@mmu-notifier\/core": bus is on floor 1 .* pass it in from above$/,
      ),
    ]);
  });

  it.each([
    ["a dynamic import", `await import("@mmu-notifier/core");`],
    ["a type import in place", `export type A = import("@mmu-notifier/core").A;`],
    ["a re-export", `export { a } from "@mmu-notifier/core";`],
  ])("sees %s", (_, text) => {
    addPackage("packages/core", [], { "src/index.ts": text });
    expect(checkFloors(root)).toEqual([expect.stringContaining("packages/core/src/index.ts:1:")]);
  });

  it("rejects a dependency that goes up, even when nothing imports it", () => {
    addPackage("packages/machine", ["sdk", "driver-kvm"], {});
    expect(checkFloors(root)).toEqual([
      expect.stringMatching(/^packages\/machine\/package\.json:5: .*take the driver as an/),
    ]);
  });

  it("keeps drivers to the sdk, and shipped drivers to the cli and the examples", () => {
    const text = `import "@mmu-notifier/core";`;
    addPackage("packages/driver-kvm", ["sdk"], { "src/index.ts": text });
    addPackage("packages/script", [], { "src/index.ts": `import "@mmu-notifier/driver-kvm";` });
    addPackage("packages/cli", ["driver-kvm"], { "src/index.ts": `import "@mmu-notifier/driver-kvm";` });
    addPackage("examples/one", ["driver-kvm"], { "src/main.ts": `import "@mmu-notifier/driver-kvm";` });
    expect(checkFloors(root)).toEqual([
      expect.stringMatching(/^packages\/driver-kvm\/src\/index\.ts:1: .*sdk only/),
      expect.stringMatching(/^packages\/script\/src\/index\.ts:1: .*only the cli and the examples/),
    ]);
  });

  it("rejects what is not declared, deep imports, and relative imports out of the package", () => {
    addPackage("packages/core", ["bus"], {
      "src/index.ts": [
        `import "@mmu-notifier/steps";`,
        `import "@mmu-notifier/bus/src/range.js";`,
        `import "../../bus/src/range.js";`,
        `import "../test/helper.js";`,
      ].join("\n"),
      "test/core.test.ts": `import "@mmu-notifier/sdk/src/walker.js";\nimport "../src/index.js";`,
    });
    expect(checkFloors(root)).toEqual([
      expect.stringMatching(/index\.ts:1: .*is not in the "dependencies"/),
      expect.stringMatching(/index\.ts:2: .*reaches inside another package/),
      expect.stringMatching(/index\.ts:3: .*leaves the package/),
      expect.stringMatching(/index\.ts:4: .*leaves src/),
      expect.stringMatching(/core\.test\.ts:1: .*reaches inside another package/),
    ]);
  });

  it("wants nothing at all under steps", () => {
    addPackage("packages/steps", [], { "src/index.ts": `import { Subject } from "rxjs";` });
    expect(checkFloors(root)).toEqual([expect.stringContaining("steps imports nothing")]);
  });

  it("wants a floor for every package", () => {
    addPackage("packages/attic", [], {});
    expect(checkFloors(root)).toEqual([expect.stringContaining("packages/attic has no floor")]);
  });

  it("forbids clocks and chance in a model, not in the cli and not in progress reports", () => {
    const text = `const at = Date.now();\nconst luck = Math["random"]();\nnew Date();\nnew Date(at);`;
    addPackage("packages/core", [], { "src/index.ts": text });
    addPackage("packages/cli", [], { "src/index.ts": text });
    addPackage("packages/replay", [], { "src/progress.ts": text, "src/report.ts": "performance.now();" });
    expect(checkFloors(root)).toEqual([
      expect.stringMatching(/^packages\/core\/src\/index\.ts:1: Date\.now/),
      expect.stringMatching(/^packages\/core\/src\/index\.ts:2: Math\.random/),
      expect.stringMatching(/^packages\/core\/src\/index\.ts:3: new Date\(\)/),
      expect.stringMatching(/^packages\/replay\/src\/report\.ts:1: performance\.now/),
    ]);
  });

  it("wants project references to say what package.json says", () => {
    addPackage("packages/core", ["bus"], { "tsconfig.json": JSON.stringify({ references: [{ path: "../steps" }] }) });
    expect(checkFloors(root)).toEqual([
      expect.stringMatching(/^packages\/core\/tsconfig\.json:1: @mmu-notifier\/bus is a dependency/),
      expect.stringMatching(/^packages\/core\/tsconfig\.json:1: @mmu-notifier\/steps is a reference/),
      expect.stringMatching(/^tsconfig\.build\.json:1: packages\/core is not built/),
    ]);
  });
});

it("holds in this repository", () => {
  expect(checkFloors(fileURLToPath(new URL("../..", import.meta.url)))).toEqual([]);
});
