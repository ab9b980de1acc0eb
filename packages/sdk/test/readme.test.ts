import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkDeclaration, checkDefinition, hostFacts, Workbench, WRITABLE_CLEAN } from "../src/index.js";
import acmeNpu from "./readme-driver.js";

describe("the driver in README.md", () => {
  it("is the one of this test", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const example = readFileSync(new URL("readme-driver.ts", import.meta.url), "utf8");

    expect(readme).toContain("```ts\n" + example + "```");
    expect(checkDefinition(acmeNpu, "README.md")).toBe(acmeNpu);
  });

  it("is live where the kernel tells of upgrades, livelocks where it does not, and keeps nothing after an unmap", () => {
    const run = (profile: string) => {
      const bench = new Workbench({ profile });
      bench.map(3, WRITABLE_CLEAN);
      const bound = bench.device(acmeNpu).bind(bench.mm);
      bench.access(bound, 3, "read");
      const { outcome } = bench.access(bound, 3, "write", 7);
      bench.run(bench.unmap(3));
      expect(bound.binding.entries()).toEqual([]);
      expect(checkDeclaration(acmeNpu, hostFacts(bench.k), {})).toEqual([]);
      return outcome.kind;
    };

    expect(run("v6.4")).toBe("livelock");
    expect(run("v6.4+upgrade-event")).toBe("value");
    expect(run("v6.12")).toBe("value");
  });
});
