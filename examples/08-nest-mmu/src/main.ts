import { verdictTable } from "@mmu-notifier/script";
import { VARIANTS, verdicts } from "./verdicts.js";

console.log(VARIANTS.map((variant) => `${variant.title}\n${verdictTable(verdicts(variant))}`).join("\n\n"));
