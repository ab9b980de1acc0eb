import { describe, expect, it } from "vitest";
import { watch } from "../src/watch.js";

describe("three subscribers of one address space", () => {
  it("are told newest first, each what its pipeline lets through", () => {
    expect(watch()).toEqual([
      // mprotect: the mirror has filtered its event.
      "meter: 32 pages",
      "huge: start [0, 512)",
      "huge: end [0, 512)",
      // MADV_DONTNEED of pages 0 to 4, outside the window of the huge mapping.
      "meter: 4 pages",
      "mirror: start MMU_NOTIFY_CLEAR [0, 4)",
      "mirror: end MMU_NOTIFY_CLEAR [0, 4)",
      // MADV_DONTNEED of pages 12 to 14, inside it.
      "meter: 2 pages",
      "huge: start [0, 512)",
      "mirror: start MMU_NOTIFY_CLEAR [12, 14)",
      "huge: end [0, 512)",
      "mirror: end MMU_NOTIFY_CLEAR [12, 14)",
    ]);
  });

  it("are told the same on every run", () => {
    expect(watch()).toEqual(watch());
  });
});
