// Tests of a package with one mutant: the mutated built file stands for its source.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { mergeConfig } from "vitest/config";
import base from "../../vitest.config.ts";
import { mutate } from "./mutate.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const mutant = JSON.parse(process.env.MUTANT);
const built = `${root}packages/${mutant.file}`;
const source = built.replace("/dist/", "/src/").replace(/\.js$/, ".ts");

export default mergeConfig(base, {
  root,
  plugins: [
    {
      name: "mutant",
      enforce: "pre",
      load: (id) => (id === source ? mutate(readFileSync(built, "utf8"), mutant) : undefined),
    },
  ],
});
