import { secondaryMmuSuite } from "@mmu-notifier/testkit";
import driver from "../src/driver.js";

secondaryMmuSuite({ driver });
