import { readFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";

describe("README.md", () => {
  it("shows an example that runs and prints what its comments say", async () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const example = readFileSync(new URL("readme-example.ts", import.meta.url), "utf8");
    const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);

    await import("./readme-example.js");

    expect(readme).toContain("```ts\n" + example + "```");
    expect(printed.mock.calls.map((words) => words.join(" "))).toEqual(["start 1000 3000", "end 1000 3000"]);
    printed.mockRestore();
  });

  it("lists every warning and error code", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const sources = ["errors.ts", "observers.ts"].map((file) =>
      readFileSync(new URL(`../src/${file}`, import.meta.url), "utf8"),
    );
    const codes = new Set(
      sources
        .join()
        .match(/"(?:BUS|WARN)_[A-Z_]+"/g)!
        .map((code) => code.slice(1, -1)),
    );

    for (const code of codes) expect(readme).toContain(`\`${code}\``);
  });
});
