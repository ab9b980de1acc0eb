#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { KINDS, planOf, UsageError, writeDriver } from "./write-driver.js";

const USAGE = `npm create @mmu-notifier/driver [NAME] [-- --kind KIND] [--dir FOLDER] [--yes]

Writes the package of a secondary-MMU driver: sources, tests, a race to check, README, CI.

  NAME           the package: acme-npu, mmu-notifier-driver-acme-npu, @acme/npu
  --kind KIND    ${Object.entries(KINDS)
    .map(([kind, summary]) => `${kind}: ${summary}`)
    .join("\n                 ")}
  --dir FOLDER   where; the driver's name without it
  --yes          asks nothing: acme-npu, walks
  --help         prints this`;

interface Flags {
  readonly kind?: string;
  readonly dir?: string;
  readonly yes?: boolean;
  readonly help?: boolean;
}

function parse(argv: readonly string[]): { readonly name: string | undefined; readonly flags: Flags } {
  try {
    const { positionals, values } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        kind: { type: "string" },
        dir: { type: "string" },
        yes: { type: "boolean", short: "y" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (positionals.length > 1)
      throw new UsageError(`one name, not ${positionals.length}. --help shows what can be said`);
    return { name: positionals[0], flags: values };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${(error as Error).message.split("\n", 1)[0]} --help shows what can be said`);
  }
}

/** Asks on a terminal; takes what is proposed anywhere else. */
async function ask(question: string, proposal: string, silent: boolean): Promise<string> {
  if (silent || !process.stdin.isTTY) return proposal;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await terminal.question(`${question} (${proposal}): `)).trim() || proposal;
  } finally {
    terminal.close();
  }
}

async function main(argv: readonly string[]): Promise<void> {
  const { name, flags } = parse(argv);
  if (flags.help === true) {
    console.log(USAGE);
    return;
  }
  const silent = flags.yes === true;
  const packageName = name ?? (await ask("Name of the package", "acme-npu", silent));
  const kinds = Object.entries(KINDS).map(([kind, summary]) => `\n  ${kind}: ${summary}`);
  const kind = flags.kind ?? (await ask(`Which kind?${kinds.join("")}\nKind`, "walks", silent));
  const plan = planOf(packageName, kind, process.cwd(), flags.dir);
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const files = writeDriver(plan, version);
  const folder = relative(process.cwd(), plan.folder) || ".";
  console.log(`${packageName}: ${files.length} files in ${folder}\n`);
  console.log(
    `  cd ${folder}\n  npm install\n  npm test             the suite that every driver has to pass, and its own tests`,
  );
  console.log("  npm run check        every interleaving of race.mm");
  console.log("  npm run verdicts     what becomes of it on every kernel when a page becomes writable");
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`create-driver: ${error.message}.`);
  process.exitCode = 2;
}
