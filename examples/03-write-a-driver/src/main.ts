import { upgradeOn } from "./upgrade.js";

for (const kernel of ["v6.4", "v6.4+upgrade-event", "v6.12"]) {
  const { outcome, faults, commands } = upgradeOn(kernel);
  console.log(`${kernel.padEnd(20)} ${outcome.padEnd(9)} ${faults} faults  ${JSON.stringify(commands)}`);
}
