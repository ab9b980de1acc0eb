import { tell } from "./story.js";

for (const kernel of ["v6.4", "v6.4+upgrade-event", "v6.4+upgrade-event-fixed", "v6.12"]) {
  const { outcome, faults } = tell(kernel);
  console.log(
    `${kernel.padEnd(26)} ${outcome === "livelock" ? "LIVELOCK: the same fault for ever" : `the write succeeded after ${faults} fault`}`,
  );
}
