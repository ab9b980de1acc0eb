import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { kernelProfile, kernelProfiles } from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";

const page = readFileSync(fileURLToPath(new URL("../../docs/guide/kernel-profiles.md", import.meta.url)), "utf8");

/** The rows of the table below a heading, as cells. */
function tableUnder(heading) {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(1).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** `pmd` to v6.4, `pud` from v6.12: what a field is from one mainline profile to the next. */
function historyOf(field) {
  const spans = [];
  for (const profile of kernelProfiles.filter(({ name }) => !name.includes("+"))) {
    const value = String(profile[field]);
    if (spans.at(-1)?.value === value) spans.at(-1).to = profile.name;
    else spans.push({ value, from: profile.name, to: profile.name });
  }
  const when = ({ from, to }, index) => {
    if (spans.length === 1) return "";
    if (index === 0) return ` to ${to}`;
    if (index === spans.length - 1) return ` from ${from}`;
    return from === to ? ` ${from}` : ` ${from} to ${to}`;
  };
  return spans.map((span, index) => `\`${span.value}\`${when(span, index)}`).join(", ");
}

/** Fields that are no behaviour of their own, or have the second table. */
const ELSEWHERE = new Set(["name", "summary", "version", "upgradeEvent", "upgradeEventOnlyWhenGained"]);

describe("docs/guide/kernel-profiles.md", () => {
  it("has a row for every field of a profile, with what the shipped profiles say", () => {
    const fields = Object.keys(kernelProfiles[0]).filter((field) => !ELSEWHERE.has(field));
    const rows = tableUnder("What differs").map(([field, , , profiles]) => `${field} ${profiles}`);
    expect(rows).toEqual(fields.map((field) => `\`${field}\` ${historyOf(field)}`));
  });

  it("has a row for every rule that goes by version, with the file that has it", () => {
    const core = fileURLToPath(new URL("../../packages/core/src", import.meta.url));
    const rules = readdirSync(core, { recursive: true }).flatMap((name) =>
      name.endsWith(".ts")
        ? [...readFileSync(join(core, name), "utf8").matchAll(/\bsince\(k\.profile, (\d+), (\d+)\)/g)].map(
            ([, major, minor]) => `v${major}.${minor} \`${basename(name)}\``,
          )
        : [],
    );
    const rows = tableUnder("Rules that go by version").map(([version, , , file]) => `${version} ${file}`);
    expect([...new Set(rows)].sort()).toEqual([...new Set(rules)].sort());
  });

  it("has a row for every place of the event, as written and repaired", () => {
    const rows = tableUnder("The patch, as written and repaired").map(([, ...cells]) => cells.join(" "));
    const written = kernelProfile("v6.4+upgrade-event").upgradeEvent;
    const repaired = kernelProfile("v6.4+upgrade-event-fixed").upgradeEvent;
    const expected = Object.keys(written).map((site) => `\`${site}\` \`${written[site]}\` \`${repaired[site]}\``);
    expect(rows.sort((a, b) => (a < b ? -1 : 1))).toEqual(expected.sort((a, b) => (a < b ? -1 : 1)));
  });
});
