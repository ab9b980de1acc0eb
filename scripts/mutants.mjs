// Plants small mistakes in the drivers, the sdk and the bus, one at a time, and says what catches each. Needs the packages built.
// usage: node scripts/mutants.mjs [WORD]   only mutants whose file or description has the word
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ELSEWHERE, MUTANTS } from "./mutants/table.mjs";

const at = (file) => fileURLToPath(new URL(file, import.meta.url));
/** A judge that runs this long waits for something that a mutant took away. */
const LIMIT = 120_000;

function judge(driver, arch, mutant) {
  const { status, stdout, stderr, signal } = spawnSync(
    process.execPath,
    ["--no-warnings", "--import", at("mutants/register.mjs"), at("mutants/judge.mjs"), driver, arch],
    { env: { ...process.env, MUTANT: JSON.stringify(mutant) }, encoding: "utf8", timeout: LIMIT },
  );
  if (signal !== null) return { by: "does not end", what: `after ${LIMIT / 1000} s` };
  // A judge that cannot run has judged nothing: the mutant's text is not in the file, or the packages are not built.
  if (status !== 0) return { broken: stderr.split("\n").find((line) => line.includes("Error")) ?? stderr };
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

const word = process.argv[2] ?? "";
const chosen = MUTANTS.filter(({ file, says }) => `${file} ${says}`.includes(word));
let survivors = 0;
for (const { driver, arch = "arm64", says, ...mutant } of chosen) {
  const { by, what, broken } = judge(driver, arch, mutant);
  if (broken !== undefined) {
    console.error(`${mutant.file}: ${says}: cannot be judged: ${broken}`);
    process.exit(2);
  }
  const argued = ELSEWHERE[`${mutant.file}: ${says}`];
  if (by === undefined && argued === undefined) survivors++;
  const verdict =
    by === undefined ? (argued === undefined ? "SURVIVES" : `not here: ${argued}`) : `${by}  ${what ?? ""}`;
  console.log(`${driver.padEnd(10)} ${says.padEnd(52)} ${verdict}`);
}
console.log(`\n${chosen.length} mutants, ${survivors} survive without a reason`);
process.exitCode = survivors > 0 ? 1 : 0;
