import { secondaryMmuSuite } from "@mmu-notifier/testkit";
import driver from "../src/index.js";

// What every secondary MMU has to do, on every kernel that ships. A test that this one does not pass for a reason goes into `skip`.
secondaryMmuSuite({ driver });
