import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findDriverPackages, loadPlugin } from "../src/index.js";

const DECLARES =
  'declares: { pageTable: "mirror", onMissingRight: "fault", resolvesFaultsInSoftware: true, reachedByBroadcast: [], filters: [] }';
const driver = (name: string): string =>
  `export default { name: "${name}", sdk: 1, summary: "of a file", ${DECLARES}, create: () => ({}) };\n`;

let folder: string;

function put(path: string, content: string): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mmu-plugins-"));
  put("good.mjs", driver("good"));
  put(
    "typed.ts",
    `interface Shape { readonly wide: boolean }\nconst shape: Shape = { wide: true };\n${driver("typed")}export { shape };\n`,
  );
  put("broken.mjs", 'throw new Error("no licence found\\nat line 3");');
  put("other.mjs", "export default { name: 'other' };");
  put(
    "node_modules/acme-npu/package.json",
    '{ "name": "acme-npu", "version": "2.1.0", "type": "module", "keywords": ["mmu-notifier-driver"], "exports": { ".": { "import": "./main.js" } } }',
  );
  put("node_modules/acme-npu/main.js", driver("acme-npu"));
  put(
    "node_modules/@acme/gpu/package.json",
    '{ "name": "@acme/gpu", "version": "1.0.0", "main": "./gpu.mjs", "keywords": ["gpu", "mmu-notifier-driver"] }',
  );
  put("node_modules/@acme/gpu/gpu.mjs", driver("acme-gpu"));
  put("node_modules/left-pad/package.json", '{ "name": "left-pad", "version": "1.3.0" }');
  put("node_modules/odd/package.json", "{ not json");
  mkdirSync(join(folder, "inner"));
});

afterAll(() => rmSync(folder, { recursive: true }));

async function failure(specifier: string): Promise<unknown> {
  try {
    await loadPlugin(specifier, folder);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("loadPlugin", () => {
  it.each([
    ["./good.mjs", "./good.mjs", "good"],
    ["./typed.ts", "./typed.ts", "typed"],
    ["./node_modules/acme-npu", "./node_modules/acme-npu", "acme-npu"],
    ["acme-npu", "acme-npu@2.1.0", "acme-npu"],
    ["@acme/gpu", "@acme/gpu@1.0.0", "acme-gpu"],
  ])("takes the default export of %s", async (specifier, origin, name) => {
    expect(await loadPlugin(specifier, folder)).toMatchObject({
      origin,
      plugins: [{ kind: "driver", driver: { name } }],
    });
  });

  it.each([
    ["./god.mjs", "PLUGIN_NOT_FOUND", /there is no file .*god\.mjs\. Did you mean "good\.mjs"\?/],
    ["./inner", "PLUGIN_NOT_FOUND", /inner is a folder without a package\.json that names its entry/],
    [
      "acme-npx",
      "PLUGIN_NOT_FOUND",
      /there is no package "acme-npx" in the node_modules of .* or above\. Install it, or give a path/,
    ],
    ["./broken.mjs", "PLUGIN_LOAD_FAILED", /^\.\/broken\.mjs cannot be loaded: no licence found\. Repair it/],
    ["./other.mjs", "SDK_DEFINITION_INVALID", /\.\/other\.mjs is no secondary-MMU driver/],
  ])("says what is wrong with %s", async (specifier, code, message) => {
    const error = await failure(specifier);

    expect(error).toMatchObject({ code });
    expect((error as Error).message).toMatch(message);
  });

  it("keeps what the module threw as the cause", async () => {
    expect(await failure("./broken.mjs")).toMatchObject({ cause: { message: "no licence found\nat line 3" } });
  });
});

describe("findDriverPackages", () => {
  it("lists packages with the keyword, also from a folder below", () => {
    const found = findDriverPackages(join(folder, "inner")).filter(({ directory }) => directory.startsWith(folder));

    expect(found.map(({ name, version }) => `${name}@${version}`)).toEqual(["@acme/gpu@1.0.0", "acme-npu@2.1.0"]);
  });
});
