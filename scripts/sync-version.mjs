// Runs as the root's `version` script inside `lerna version`, which raises the versions and what packages depend on, but not what they ask for
// as peers, nor the version that the command prints. `--check` changes nothing and says what differs.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

const root = fileURLToPath(new URL("..", import.meta.url));
const SCOPE = "@mmu-notifier/";
const check = process.argv.includes("--check");
const { version } = JSON.parse(readFileSync(join(root, "lerna.json"), "utf8"));
const problems = [];

/** Makes the file say what it should, or notes that it does not. */
function keep(path, text) {
  const file = join(root, path);
  if (readFileSync(file, "utf8") === text) return;
  if (check) problems.push(`${path} is not at version ${version}: node scripts/sync-version.mjs`);
  else writeFileSync(file, text);
}

for (const folder of ["packages", "examples"]) {
  for (const name of readdirSync(join(root, folder)).sort()) {
    const path = join(folder, name, "package.json");
    const manifest = JSON.parse(readFileSync(join(root, path), "utf8"));
    manifest.version = version;
    for (const field of ["dependencies", "devDependencies", "peerDependencies"]) {
      for (const wanted of Object.keys(manifest[field] ?? {}))
        if (wanted.startsWith(SCOPE)) manifest[field][wanted] = `^${version}`;
    }
    keep(path, `${JSON.stringify(manifest, undefined, 2)}\n`);
  }
}
const source = join("packages", "cli", "src", "version.ts");
keep(source, readFileSync(join(root, source), "utf8").replace(/(VERSION = )"[^"]*"/, `$1"${version}"`));

for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
if (check) console.log(`versions: all packages, and what they ask of each other, are at ${version}`);
