import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** What the driver's device does: walk the CPU's page table, or mirror it in a table of its own. */
export type DriverKind = "walks" | "mirrors";

/** The kinds with one line each, as they are asked for. */
export const KINDS: Readonly<Record<DriverKind, string>> = {
  walks: "the device walks the CPU's page table and caches translations (IOMMU, SVA)",
  mirrors: "the driver keeps a table of its own and resolves faults (GPU, RDMA, HMM)",
};

/** Wrong use of the command: its message is all that is shown. */
export class UsageError extends Error {}

/** What is going to be written. */
export interface Plan {
  /** Name of the driver, kebab-case. */
  readonly driver: string;
  /** Name of the package. */
  readonly packageName: string;
  readonly kind: DriverKind;
  /** Absolute path of a folder that is empty or not there. */
  readonly folder: string;
}

const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const PACKAGE = /^(@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/;
const TEMPLATE = fileURLToPath(new URL("../template", import.meta.url));
/** The driver's name in the template. */
const PLACEHOLDER = "acme-npu";

/**
 * Checks what was asked for.
 *
 * @param name of the package: `acme-npu`, `mmu-notifier-driver-acme-npu` or `@acme/npu`; the driver is called by its last part
 * @throws UsageError that says what to write instead
 */
export function planOf(name: string, kind: string, cwd: string, folder?: string): Plan {
  if (!PACKAGE.test(name))
    throw new UsageError(`${JSON.stringify(name)} is no name of a package. Write one like acme-npu or @acme/npu`);
  const driver = name.replace(/^@[^/]*\//, "").replace(/^mmu-notifier-driver-/, "");
  if (!NAME.test(driver))
    throw new UsageError(`${JSON.stringify(driver)} is no name of a driver. Use lower-case words with dashes between`);
  if (!Object.hasOwn(KINDS, kind))
    throw new UsageError(
      `there is no kind ${JSON.stringify(kind)}. Write --kind ${Object.keys(KINDS).join(" or --kind ")}`,
    );
  const target = resolve(cwd, folder ?? driver);
  if (existsSync(target) && readdirSync(target).length > 0)
    throw new UsageError(`${target} is not empty. Name another folder with --dir`);
  return { driver, packageName: name, kind: kind as DriverKind, folder: target };
}

/**
 * Writes the package.
 *
 * @param version of the packages of mmu-notifier that it is written for
 * @returns paths of the files, relative to its folder
 */
export function writeDriver({ driver, packageName, kind, folder }: Plan, version: string): readonly string[] {
  mkdirSync(folder, { recursive: true });
  for (const part of ["common", kind]) cpSync(join(TEMPLATE, part), folder, { recursive: true });
  // npm leaves files called .gitignore out of a package, so the template has them under another name.
  renameSync(join(folder, "gitignore"), join(folder, ".gitignore"));
  renameSync(join(folder, "github"), join(folder, ".github"));
  const files = filesOf(folder);
  for (const file of files) {
    const path = join(folder, file);
    writeFileSync(path, readFileSync(path, "utf8").replaceAll(PLACEHOLDER, driver));
  }
  const manifest = JSON.stringify(manifestOf(packageName, driver, version), undefined, 2);
  writeFileSync(join(folder, "package.json"), `${manifest}\n`);
  return [...files, "package.json"].sort();
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

function manifestOf(name: string, driver: string, version: string): object {
  const range = `^${version}`;
  return {
    name,
    version: "0.1.0",
    description: `The secondary MMU ${driver} as a driver for mmu-notifier.`,
    keywords: ["mmu-notifier-driver"],
    license: "MIT",
    type: "module",
    sideEffects: false,
    files: ["dist", "src"],
    exports: { ".": { types: "./dist/index.d.ts", default: "./dist/index.js" }, "./package.json": "./package.json" },
    scripts: {
      build: "tsc",
      prepack: "tsc",
      test: "vitest run",
      check: "mmun check race.mm --driver ./src/index.ts",
      verdicts: "mmun verdicts ./src/index.ts",
    },
    // The sdk of whoever runs the driver: two copies would not know each other's objects.
    peerDependencies: { "@mmu-notifier/sdk": range },
    devDependencies: {
      "@mmu-notifier/cli": range,
      "@mmu-notifier/sdk": range,
      "@mmu-notifier/testkit": range,
      "@types/node": "^20",
      typescript: "^5.9.0 || ^7.0.0",
      vitest: "^4.1.0",
    },
    engines: { node: ">=20.19.0" },
  };
}
