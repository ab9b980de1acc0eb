// Puts the shipped drivers through every scenario on every kernel, and prints the tables of docs/reference/scenarios.md. Takes minutes; needs
// the packages built.
// usage: node scripts/scenario-matrix.mjs [DRIVER…]
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DRIVERS, KERNELS, tableOf } from "./scenario-matrix/tables.mjs";

const mmun = fileURLToPath(new URL("../packages/cli/dist/main.js", import.meta.url));
const LONGEST = 2 ** 26;

function resultsOf(driver, kernel) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [mmun, "check", driver, "--kernel", kernel, "--json"],
    {
      encoding: "utf8",
      maxBuffer: LONGEST,
    },
  );
  if (status !== 0 && status !== 1) throw new Error(`mmun check ${driver} --kernel ${kernel}: ${stderr}`);
  return stdout
    .trim()
    .split("\n")
    .map((line) => ({ result: JSON.parse(line), kernel }));
}

let surprises = 0;
for (const driver of process.argv.length > 2 ? process.argv.slice(2) : DRIVERS) {
  const table = tableOf(KERNELS.flatMap((kernel) => resultsOf(driver, kernel)));
  surprises += table.split(", not ").length - 1;
  console.log(`### ${driver}\n\n${table}\n`);
}
console.log(surprises === 0 ? "Everything is as the rules say." : `${surprises} results are not as the rules say.`);
process.exitCode = surprises === 0 ? 0 : 1;
