// Plants small mistakes in the drivers, the sdk and the bus, one at a time, and says what catches each. Needs the packages built.
// usage: node scripts/mutants.mjs [WORD] [--write]   only mutants whose file or description has the word; --write: the table in docs/
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { judge } from "./mutants/judges.mjs";
import { MUTANTS } from "./mutants/table.mjs";

const PAGE = fileURLToPath(new URL("../docs/reference/mutants.md", import.meta.url));
const args = process.argv.slice(2);
const write = args.includes("--write");
const word = args.find((arg) => !arg.startsWith("--")) ?? "";
if (write && word !== "") {
  console.error("--write is for the whole table: leave the word out");
  process.exit(2);
}

const chosen = MUTANTS.filter(({ file, says }) => `${file} ${says}`.includes(word));
const verdicts = new Map();
const began = Date.now();
const left = [...chosen];
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const verdict = await judge(mutant);
      verdicts.set(mutant, verdict);
      const { by, what, broken } = verdict;
      const on = mutant.driver ?? mutant.file.split("/")[0];
      const outcome = broken === undefined ? "SURVIVES" : `CANNOT BE JUDGED: ${broken}`;
      console.log(`${on.padEnd(10)} ${mutant.says.padEnd(60)} ${by === undefined ? outcome : `${by}  ${what}`}`);
    }
  }),
);
const unjudged = chosen.filter((mutant) => verdicts.get(mutant).broken !== undefined);
const survivors = chosen.filter((mutant) => verdicts.get(mutant).by === undefined && !unjudged.includes(mutant));
const seconds = Math.round((Date.now() - began) / 1000);
console.log(`\n${chosen.length} mutants, ${survivors.length} survive; ${seconds} s on ${availableParallelism()} cores`);
if (unjudged.length > 0) {
  console.error(`${unjudged.length} cannot be judged: their text is not in the built file, or a judge does not run`);
  process.exit(2);
}
if (write) writeTable(seconds);
process.exitCode = survivors.length > 0 ? 1 : 0;

/** Puts the results between the two marks of the page. */
function writeTable(took) {
  const row = (mutant) => {
    const { by = "nothing", what = "" } = verdicts.get(mutant);
    const cells = [mutant.says, mutant.file.replace("/dist/", "/").replace(/\.js$/, ""), by, what];
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("<", "&lt;")).join(" | ")} |`;
  };
  const head = `${chosen.length} mutants, ${chosen.length - survivors.length} caught, in ${took} s on ${availableParallelism()} cores.`;
  const table = [
    "| The mistake | In | Caught first by | What was seen |",
    "| --- | --- | --- | --- |",
    ...chosen.map(row),
  ];
  const page = readFileSync(PAGE, "utf8");
  const [before, after] = ["<!-- results -->", "<!-- /results -->"].map((mark) => page.indexOf(mark));
  writeFileSync(
    PAGE,
    `${page.slice(0, before)}<!-- results -->\n\n${head}\n\n${table.join("\n")}\n\n${page.slice(after)}`,
  );
}
