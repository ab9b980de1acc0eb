import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { OracleError } from "./errors.js";

const run = promisify(execFile);

/** -z now: no symbol is looked up, and so no page written, between the markers of an op. */
const FLAGS = ["-O1", "-Wall", "-Wl,-z,now"];

/** Where the interpreter's sources lie: they ship with this package. */
function interpreterSources(): string {
  return join(dirname(createRequire(import.meta.url).resolve("@mmu-notifier/conformance/package.json")), "oracle");
}

/** The compiler that $CC names, or cc. */
export function compiler(env: NodeJS.ProcessEnv): string {
  const named = env["CC"] ?? "";
  return named === "" ? "cc" : named;
}

/** $XDG_CACHE_HOME/mmu-notifier, or .cache/mmu-notifier in the home folder. */
function cacheFolder(env: NodeJS.ProcessEnv): string {
  const cache = env["XDG_CACHE_HOME"] ?? "";
  return join(cache === "" ? join(homedir(), ".cache") : cache, "mmu-notifier");
}

/**
 * Path of the compiled interpreter. It is compiled once for each state of its sources and each compiler.
 *
 * @throws OracleError ORACLE_BUILD with what the compiler said
 */
export async function buildInterpreter(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const folder = interpreterSources();
  const cc = compiler(env);
  const names = readdirSync(folder)
    .filter((name) => /\.[ch]$/.test(name))
    .sort();
  const hash = createHash("sha256").update(JSON.stringify([cc, FLAGS, process.arch]));
  for (const name of names) hash.update(name).update(readFileSync(join(folder, name)));
  const cache = cacheFolder(env);
  const target = join(cache, `oracle-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(target)) return target;
  // Whoever looks meanwhile sees a whole file or none.
  const unfinished = `${target}.${process.pid}`;
  try {
    mkdirSync(cache, { recursive: true });
    const sources = names.filter((name) => name.endsWith(".c")).map((name) => join(folder, name));
    await run(cc, [...FLAGS, "-o", unfinished, ...sources]);
    renameSync(unfinished, target);
  } catch (error) {
    rmSync(unfinished, { force: true });
    const said = (error as { readonly stderr?: string }).stderr ?? "";
    const why = said === "" ? (error as Error).message : said;
    throw new OracleError(
      "ORACLE_BUILD",
      `${cc} could not compile the interpreter into ${cache}: ${why.trim()}. Set CC to a C compiler that works, or XDG_CACHE_HOME to a folder that can be written`,
      { compiler: cc, folder: cache },
    );
  }
  return target;
}
