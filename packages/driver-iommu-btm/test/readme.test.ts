import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { expect, it, vi } from "vitest";

it("README.md shows an example that runs and prints what its comment says", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const example = readFileSync(new URL("readme-example.ts", import.meta.url), "utf8");
  const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);

  await import("./readme-example.js");

  expect(readme).toContain("```ts\n" + example + "```");
  const words = printed.mock.calls.map((call) => call.map((word) => inspect(word)).join(" "));
  expect(words).toEqual(["{ kind: 'livelock' }"]);
  printed.mockRestore();
});
