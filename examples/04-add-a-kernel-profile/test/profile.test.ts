import { kernelProfile } from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import { patchedReuse } from "../src/profile.js";
import { reuseOn } from "../src/try-it.js";

describe("a profile of one's own", () => {
  it("is found by name and cures what the patch as written leaves open", () => {
    expect(reuseOn("v6.4+upgrade-event")).toBe("livelock");
    expect(reuseOn(patchedReuse.name)).toBe("value");
  });

  it("leaves the profile it starts from alone", () => {
    expect(kernelProfile("v6.4+upgrade-event").upgradeEvent?.wpPageReuse).toBe("no");
  });
});
