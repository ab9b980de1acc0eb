// Checks the seed's protocol once, in a process of its own, and prints what it took. usage: node check-upgrade.mjs SIZE
// The engine alone is loaded: the machine, the drivers and the scripts have no part in it.
import { explore } from "../dist/engine/explore.js";
import { upgradeProtocol } from "../dist/models/upgrade-protocol.js";

const size = Number(process.argv[2] ?? 2);
const { states, transitions, findings, bytesPerState } = explore(upgradeProtocol({ downgrades: size, writes: size }));
const { user, system } = process.cpuUsage();
console.log(
  JSON.stringify({ states, transitions, findings: findings.length, bytesPerState, cpu: (user + system) / 1e6 }),
);
