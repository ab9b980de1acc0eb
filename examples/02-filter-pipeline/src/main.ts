import { watch } from "./watch.js";

for (const line of watch()) console.log(line);
