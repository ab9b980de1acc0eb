import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { DRIVER_KEYWORD, findDriverPackages, loadPlugin, type PluginEntry } from "@mmu-notifier/machine";
import { SDK_GENERATION } from "@mmu-notifier/sdk";
import { UsageError } from "./errors.js";
import { shippedRegistry } from "./registry.js";
import { VERSION } from "./version.js";

/** One thing that was looked at. */
export interface Diagnosis {
  readonly verdict: "ok" | "wrong";
  /** What was found, in one line. */
  readonly what: string;
  /** What to do about it. */
  readonly remedy?: string;
}

const MIN_NODE = [20, 19] as const;
const SDK = "@mmu-notifier/sdk";

const ok = (what: string): Diagnosis => ({ verdict: "ok", what });
const wrong = (what: string, remedy: string): Diagnosis => ({ verdict: "wrong", what, remedy });

/**
 * Looks at Node, at the command itself and at every driver package that is installed in a folder or above it. Nothing is changed;
 * the drivers are loaded, and asked for no more than their definitions.
 *
 * @throws UsageError when there is no such folder
 */
export async function diagnose(folder: string): Promise<readonly Diagnosis[]> {
  const from = resolve(folder);
  if (!existsSync(from) || !statSync(from).isDirectory())
    throw new UsageError(`there is no folder ${from}. Name the one where the packages are installed`, { folder: from });
  const packages = [...ownPackage(from), ...findDriverPackages(from)];
  const { found, names } = await plugins(from, packages);
  return [
    node(process.versions.node),
    ok(`mmun ${VERSION}, sdk generation ${SDK_GENERATION}`),
    ...found,
    ...duplicates(names),
    ...packages.flatMap(({ name, directory }) => sdkOf(name, directory)),
  ];
}

/** The folder itself, when it is a driver's package: its author asks. */
function ownPackage(directory: string): ReturnType<typeof findDriverPackages> {
  const { keywords = [], name, version = "0.0.0" } = manifestOf(directory);
  return name !== undefined && keywords.includes(DRIVER_KEYWORD) ? [{ name, version, directory }] : [];
}

/** The version of Node that runs this. */
export function node(version: string): Diagnosis {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const enough = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
  return enough
    ? ok(`Node ${version}`)
    : wrong(`Node ${version} is older than ${MIN_NODE.join(".")}`, `Install Node ${MIN_NODE.join(".")} or newer`);
}

/** Every installed driver package, loaded by itself: a broken one says nothing about the others. */
async function plugins(from: string, packages: ReturnType<typeof findDriverPackages>) {
  const registry = await shippedRegistry();
  const names: Pick<PluginEntry, "name" | "origin">[] = registry
    .list("driver")
    .map(({ name, origin }) => ({ name, origin }));
  const shipped = new Set(names.map(({ origin }) => origin));
  const found: Diagnosis[] = names.map(({ name, origin }) => ok(`driver ${name} (${origin}, ships)`));
  for (const { directory, name, version } of packages) {
    if (shipped.has(name)) continue;
    const label = `${name}@${version}`;
    const missing = unbuilt(directory);
    if (missing !== undefined) {
      found.push(
        wrong(
          `${label}: its entry ${missing} is not there`,
          `Run its build (npm run build in ${directory}), or install a version that was published`,
        ),
      );
      continue;
    }
    try {
      const loaded = await loadPlugin(directory === from ? directory : name, from);
      for (const plugin of loaded.plugins) {
        if (plugin.kind === "driver") names.push({ name: plugin.driver.name, origin: label });
        found.push(
          ok(plugin.kind === "driver" ? `driver ${plugin.driver.name} (${label})` : `${plugin.kind} (${label})`),
        );
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const at = message.lastIndexOf(". ");
      found.push(
        at < 0 ? wrong(message, `Repair ${label}, or take it out`) : wrong(message.slice(0, at), message.slice(at + 2)),
      );
    }
  }
  return { found, names };
}

/** The file that a package's manifest names as its entry, when it does not exist. */
function unbuilt(directory: string): string | undefined {
  const { exports, main } = manifestOf(directory);
  const entry = entryOf(exports) ?? main;
  return entry === undefined || existsSync(join(directory, entry)) ? undefined : entry;
}

/** What `exports` names for an import of the package itself. */
function entryOf(exports: unknown): string | undefined {
  if (typeof exports === "string") return exports;
  if (typeof exports !== "object" || exports === null) return undefined;
  const conditions = exports as Readonly<Record<string, unknown>>;
  for (const condition of [".", "node", "import", "default"]) {
    const entry = entryOf(conditions[condition]);
    if (entry !== undefined) return entry;
  }
  return undefined;
}

function duplicates(names: readonly Pick<PluginEntry, "name" | "origin">[]): Diagnosis[] {
  const first = new Map<string, string>();
  const found: Diagnosis[] = [];
  for (const { name, origin } of names) {
    const other = first.get(name);
    if (other === undefined) first.set(name, origin);
    else
      found.push(
        wrong(
          `two drivers are called ${name}: one from ${other}, one from ${origin}`,
          "Take one out, or have it renamed",
        ),
      );
  }
  return found;
}

/** A driver whose sdk is another copy than the command's: objects of one are strangers to the other. */
function sdkOf(name: string, directory: string): Diagnosis[] {
  const mine = rootOf(SDK, import.meta.url);
  const theirs = rootOf(SDK, join(realpathSync(directory), "package.json"));
  if (mine === undefined || theirs === undefined || mine === theirs) return [];
  const { version } = manifestOf(theirs);
  return [
    wrong(
      `${name} has a copy of ${SDK} of its own (${version ?? "no version"}, in ${theirs})`,
      `Make ${SDK} a peer dependency of ${name} and install again: npm ls ${SDK} shows who asks for which`,
    ),
  ];
}

/** The folder of a package as somebody sees it, links followed. */
function rootOf(name: string, from: string): string | undefined {
  try {
    return realpathSync(dirname(createRequire(from).resolve(`${name}/package.json`)));
  } catch {
    return undefined;
  }
}

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly keywords?: readonly string[];
  readonly exports?: unknown;
  readonly main?: string;
}

function manifestOf(directory: string): Manifest {
  try {
    return JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Manifest;
  } catch {
    return {};
  }
}
