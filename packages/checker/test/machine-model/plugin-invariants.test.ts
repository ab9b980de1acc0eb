import { type Invariant, PluginRegistry } from "@mmu-notifier/machine";
import { parseScripts } from "@mmu-notifier/script";
import { expect, test } from "vitest";
import { explore, scriptModel } from "../../src/index.js";

function findingsOf(check: Invariant["check"]): (string | undefined)[][] {
  const invariant: Invariant = { name: "frames", summary: "a process has one frame at most", check };
  const registry = PluginRegistry.withCore().add({ kind: "invariant", invariant }, "acme-rules");
  const [script] = parseScripts(
    "== frames arena 4\nmap 0 2 rw- p anon\nthread A {\nwrite 0\n}\nthread B {\nwrite 1\n}\n",
    {
      file: "frames.mm",
    },
  );
  const { model } = scriptModel(script!, { registry });
  return explore(model).findings.map(({ about, rule, verdict, what }) => [verdict, about, what, rule]);
}

test("an invariant of a plugin is asked in every state in which nobody is in a call", () => {
  const asked: number[] = [];
  const findings = findingsOf(({ kernel }) => {
    const { live } = kernel.pages.segment;
    asked.push(live);
    return live > 2 ? "there are two frames" : undefined;
  });
  expect(findings).toEqual([
    ["CONTRACT", "invariant frames (acme-rules)", "there are two frames", "a process has one frame at most"],
  ]);
  // The zero page alone, one page, both.
  expect(new Set(asked)).toEqual(new Set([1, 2, 3]));
});

test("an invariant that throws is a finding about its package", () => {
  const [first] = findingsOf(() => {
    throw new Error("out of cheese");
  });
  expect(first?.slice(0, 3)).toEqual([
    "ERROR",
    "invariant frames (acme-rules)",
    "its check threw: out of cheese. Repair acme-rules",
  ]);
});
