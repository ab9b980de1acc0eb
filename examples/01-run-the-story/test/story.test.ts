import { describe, expect, it } from "vitest";
import { tell } from "../src/story.js";

describe("a device that writes a page which fork left read-only", () => {
  it.each(["v6.1", "v6.4", "v6.4+upgrade-event"])("faults for ever on %s: nobody tells the SMMU", (kernel) => {
    expect(tell(kernel).outcome).toBe("livelock");
  });

  it.each(["v6.4+upgrade-event-fixed", "v6.12", "v6.18", "v7.3"])("needs one fault on %s", (kernel) => {
    expect(tell(kernel)).toEqual({ kernel, outcome: "value", faults: 1 });
  });
});
