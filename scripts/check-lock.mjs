// package-lock.json has to install everywhere: it names no registry, and no platform's optional package is missing.
import { readFileSync } from "node:fs";

const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"));
const problems = [];

/** Looks a dependency up as Node would from the folder `from`: nearest node_modules first, then outwards. */
function isInstalled(from, name) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/")))) {
    const at = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (at in lock.packages) return true;
    if (folder === "") return false;
  }
}

for (const [path, entry] of Object.entries(lock.packages)) {
  if (entry.link !== true && entry.resolved !== undefined) {
    problems.push(`${path} has a "resolved" address; keep the lines of .npmrc and run npm install again`);
  }
  if (path.includes("node_modules/") && entry.link !== true && entry.integrity === undefined && !entry.inBundle) {
    problems.push(`${path} has no integrity hash`);
  }
  for (const name of Object.keys(entry.optionalDependencies ?? {})) {
    if (!isInstalled(path, name)) {
      problems.push(
        `${path} ${entry.version} wants ${name}, which the lock lacks: npm ci would fail; pin another version`,
      );
    }
  }
}

for (const problem of problems) console.error(`package-lock.json: ${problem}`);
if (problems.length > 0) process.exit(1);
console.log(`lock file: ${Object.keys(lock.packages).length} entries, no address, no optional package missing`);
