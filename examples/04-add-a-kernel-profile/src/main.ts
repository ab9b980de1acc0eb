import { patchedReuse } from "./profile.js";
import { reuseOn } from "./try-it.js";

for (const kernel of ["v6.4+upgrade-event", patchedReuse.name]) console.log(`${kernel.padEnd(26)} ${reuseOn(kernel)}`);
