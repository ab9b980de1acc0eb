// Puts one driver through what its author runs, and says what first finds fault with it. usage: judge.mjs DRIVER [ARCH]
import { checkScenario, museum, runEntry, scenarios } from "@mmu-notifier/checker";
import { PluginRegistry } from "@mmu-notifier/machine";
import { suiteCases } from "@mmu-notifier/testkit";

const [name, arch = "arm64"] = process.argv.slice(2);
const FOLDERS = { "hmm-gpu": "../../examples/05-hmm-gpu/dist/driver.js" };
const { default: driver } = await import(FOLDERS[name] ?? `../../packages/driver-${name}/dist/index.js`);
const registry = PluginRegistry.withCore().add(driver, name);
/** A hook of either generation, and the event. */
const KERNELS = ["v6.12", "v6.4+upgrade-event-fixed"];

function caught(by, what) {
  console.log(JSON.stringify({ by, what: String(what).split("\n")[0].slice(0, 160) }));
  process.exit(0);
}

for (const kernel of KERNELS) {
  for (const scenario of scenarios) {
    try {
      const { skipped, expectation, exploration, problems } = checkScenario(scenario, {
        driver: driver.name,
        registry,
        kernel,
        arch,
        explore: { maxStates: 30_000 },
      });
      if (skipped !== undefined) continue;
      const wrong = exploration.findings.find(
        ({ severity, verdict }) => severity === "error" && verdict !== expectation.verdict,
      );
      if (wrong !== undefined) caught(`${scenario.id} ${kernel}`, `${wrong.verdict}: ${wrong.what}`);
      if (problems.length > 0) caught(`${scenario.id} ${kernel}`, problems[0].what);
    } catch (error) {
      caught(`${scenario.id} ${kernel}`, error);
    }
  }
}
for (const { section, title, kernel, leftOut, run } of suiteCases({
  driver,
  kernels: KERNELS,
  archs: [arch],
  interleavingKernels: [],
})) {
  if (leftOut !== undefined) continue;
  try {
    run();
  } catch (error) {
    caught(`${section}: ${title} ${kernel}`, error);
  }
}
for (const entry of museum) {
  const [complaint] = runEntry(entry).complaints;
  if (complaint !== undefined) caught(`museum ${entry.id}`, complaint);
}
console.log(JSON.stringify({ by: undefined }));
