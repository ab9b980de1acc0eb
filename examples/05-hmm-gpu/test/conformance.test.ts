import { hmmTests, secondaryMmuSuite } from "@mmu-notifier/testkit";
import driver, { type GpuBinding } from "../src/driver.js";

secondaryMmuSuite({ driver });
hmmTests({ driver, mirrorOf: (binding: GpuBinding) => binding.mirror });
