// Checks the seed's protocol once; bench/engine.mjs times it. usage: node check-upgrade.mjs SIZE
import { explore, upgradeProtocol } from "../dist/index.js";

const size = Number(process.argv[2] ?? 2);
const before = process.cpuUsage();
const { states, transitions, findings, bytesPerState } = explore(upgradeProtocol({ downgrades: size, writes: size }));
const { user, system } = process.cpuUsage(before);
const seconds = (user + system) / 1e6;
console.log(
  `checker: states=${states} transitions=${transitions} findings=${findings.length} ${bytesPerState.toFixed(1)} B/state ` +
    `cpu=${seconds.toFixed(2)}s ${(transitions / seconds / 1e6).toFixed(2)} M transitions/s`,
);
