import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { didYouMean } from "@mmu-notifier/steps";
import { MachineError, messageOf } from "./errors.js";
import { type Plugin, toPlugins } from "./plugin.js";

/** The word in a package's `keywords` by which drivers are found. */
export const DRIVER_KEYWORD = "mmu-notifier-driver";

/** Plugins and where they came from. */
export interface LoadedPlugins {
  readonly origin: string;
  readonly plugins: readonly Plugin[];
}

/** A package in some node_modules that says it is a driver. */
export interface DriverPackage {
  readonly name: string;
  readonly version: string;
  readonly directory: string;
}

/**
 * Loads plugins from a file (JavaScript or TypeScript) or from a package, by its default export.
 *
 * @param specifier a path (`./my-driver.ts`, absolute, or a folder with a package.json) or the name of a package
 * @param from the folder that paths and packages are looked up from
 * @throws MachineError PLUGIN_NOT_FOUND, PLUGIN_LOAD_FAILED, PLUGIN_INVALID; SdkError SDK_DEFINITION_INVALID, SDK_VERSION_UNSUPPORTED
 */
export async function loadPlugin(specifier: string, from: string = process.cwd()): Promise<LoadedPlugins> {
  const file = isPath(specifier) ? locateFile(specifier, from) : locatePackage(specifier, from);
  const origin = isPath(specifier) ? specifier : describePackage(specifier, from);
  let exported: unknown;
  try {
    exported = await importFile(file);
  } catch (cause) {
    throw new MachineError(
      "PLUGIN_LOAD_FAILED",
      `${origin} cannot be loaded: ${firstLine(messageOf(cause))}. Repair it, or run it by itself to see more`,
      { origin, file },
      { cause },
    );
  }
  return { origin, plugins: toPlugins(exported, origin) };
}

/** True for what is a place in the file system rather than the name of a package or driver. */
export function isPath(specifier: string): boolean {
  return isAbsolute(specifier) || /^\.{0,2}[\\/]/.test(specifier) || /\.[cm]?[jt]s$/.test(specifier);
}

/**
 * Packages with the keyword {@link DRIVER_KEYWORD} in the node_modules folders from `from` upwards; nearer ones first, one of
 * each name.
 */
export function findDriverPackages(from: string = process.cwd()): readonly DriverPackage[] {
  const found = new Map<string, DriverPackage>();
  for (const modules of moduleFolders(from)) {
    for (const directory of packageFolders(modules)) {
      const manifest = readManifest(directory);
      if (manifest === undefined || found.has(manifest.name) || !manifest.keywords.includes(DRIVER_KEYWORD)) continue;
      found.set(manifest.name, { name: manifest.name, version: manifest.version, directory });
    }
  }
  return [...found.values()];
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!;
}

function locateFile(specifier: string, from: string): string {
  const path = resolve(from, specifier);
  if (!existsSync(path)) {
    const folder = dirname(path);
    const siblings = existsSync(folder) ? readdirSync(folder).map((name) => join(dirname(specifier), name)) : [];
    throw new MachineError(
      "PLUGIN_NOT_FOUND",
      `there is no file ${path}.${didYouMean(specifier, siblings)} Give the path of a driver's source or the name of its package`,
      {
        specifier,
        file: path,
      },
    );
  }
  if (!statSync(path).isDirectory()) return path;
  const main = packageMain(path);
  if (main === undefined) {
    throw new MachineError(
      "PLUGIN_NOT_FOUND",
      `${path} is a folder without a package.json that names its entry. Give the file itself`,
      { specifier, file: path },
    );
  }
  return main;
}

function locatePackage(specifier: string, from: string): string {
  try {
    return createRequire(join(resolve(from), "package.json")).resolve(specifier);
  } catch {
    for (const modules of moduleFolders(from)) {
      const main = packageMain(join(modules, specifier));
      if (main !== undefined) return main;
    }
    throw new MachineError(
      "PLUGIN_NOT_FOUND",
      `there is no package ${JSON.stringify(specifier)} in the node_modules of ${resolve(from)} or above. Install it, or give a path`,
      {
        specifier,
        from,
      },
    );
  }
}

function describePackage(specifier: string, from: string): string {
  for (const modules of moduleFolders(from)) {
    const manifest = readManifest(join(modules, specifier));
    if (manifest !== undefined) return `${manifest.name}@${manifest.version}`;
  }
  return specifier;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly keywords: readonly string[];
  readonly entry: string | undefined;
}

/** The entry of an ES module package, which createRequire() cannot resolve when it has an `import` condition only. */
function packageMain(directory: string): string | undefined {
  const entry = readManifest(directory)?.entry;
  if (entry === undefined) return undefined;
  const path = join(directory, entry);
  return existsSync(path) ? path : undefined;
}

function readManifest(directory: string): Manifest | undefined {
  const path = join(directory, "package.json");
  if (!existsSync(path)) return undefined;
  let fields: Readonly<Record<string, unknown>>;
  try {
    fields = JSON.parse(readFileSync(path, "utf8")) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
  const { name, version, keywords, main, module } = fields;
  if (typeof name !== "string") return undefined;
  const entry = exportedEntry(fields["exports"]) ?? (typeof module === "string" ? module : main);
  return {
    name,
    version: typeof version === "string" ? version : "0.0.0",
    keywords: Array.isArray(keywords) ? keywords.filter((word): word is string => typeof word === "string") : [],
    entry: typeof entry === "string" ? entry : existsSync(join(directory, "index.js")) ? "index.js" : undefined,
  };
}

/** What `exports` says about ".": the conditions an ES module import meets. */
function exportedEntry(exports: unknown): string | undefined {
  if (typeof exports === "string") return exports;
  if (typeof exports !== "object" || exports === null) return undefined;
  const conditions = exports as Readonly<Record<string, unknown>>;
  for (const condition of [".", "node", "import", "default"]) {
    const entry = exportedEntry(conditions[condition]);
    if (entry !== undefined) return entry;
  }
  return undefined;
}

function* moduleFolders(from: string): Generator<string> {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const modules = join(folder, "node_modules");
    if (existsSync(modules)) yield modules;
    if (dirname(folder) === folder) return;
  }
}

function* packageFolders(modules: string): Generator<string> {
  for (const name of readdirSync(modules).sort()) {
    if (name.startsWith(".")) continue;
    const path = join(modules, name);
    if (!name.startsWith("@")) yield path;
    else for (const scoped of readdirSync(path).sort()) yield join(path, scoped);
  }
}

/** JavaScript is imported as it is; TypeScript goes through jiti, which shares the host's modules. */
async function importFile(file: string): Promise<unknown> {
  const url = pathToFileURL(file).href;
  if (/\.[cm]?ts$/.test(file)) {
    const { createJiti } = await import("jiti");
    return createJiti(import.meta.url).import(url, { default: true });
  }
  const module = (await import(url)) as Readonly<Record<string, unknown>>;
  return module["default"];
}
