// Explores the whole model of the kernel (a fork, stores, a device behind an SMMU without broadcast TLB maintenance) up to a number of
// states, and prints what it took. usage: node full-machine.mjs [maxStates]
import smmu from "@mmu-notifier/driver-arm-smmu";
import { PluginRegistry } from "@mmu-notifier/machine";
import { parseScripts } from "@mmu-notifier/script";
import { explore, scriptModel } from "../dist/index.js";

const SCRIPT = `device smmu0 driver arm-smmu
== fork-write arena 16
map 0 4 rw- p anon
writer 0 4
dev smmu0 read 0
dev smmu0 read 1
thread A {
  fork
  write 0
  write 1
}
thread B {
  write 2
  write 1
}
thread C {
  dev smmu0 write 0
  dev smmu0 read 1
}
`;
const registry = PluginRegistry.withCore();
registry.add(smmu, "@mmu-notifier/driver-arm-smmu");
const [script] = parseScripts(SCRIPT, { file: "full-machine.mm" });
const { model } = scriptModel(script, { registry, kernel: "v6.4+upgrade-event-fixed", arch: "arm64" });
const before = process.cpuUsage();
const { states, transitions, findings, bytesPerState } = explore(model, {
  maxStates: Number(process.argv[2] ?? 400_000),
});
const { user, system } = process.cpuUsage(before);
console.log(
  JSON.stringify({ states, transitions, findings: findings.length, bytesPerState, cpu: (user + system) / 1e6 }),
);
