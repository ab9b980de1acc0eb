import { secondaryMmuSuite } from "@mmu-notifier/testkit";
import driver from "../src/driver.js";

secondaryMmuSuite({
  driver,
  skip: [
    {
      reason: "since v7.0 arm64 flushes an upgrade on the CPU that made it alone: no broadcast reaches the nest MMU",
      tests: ["the declarations do not contradict each other, the decision or the host"],
      kernels: ["v7.3"],
    },
  ],
});
