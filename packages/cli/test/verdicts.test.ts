import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mmun } from "./mmun.js";

let mmun: Mmun;

beforeAll(async () => {
  mmun = await Mmun.build();
});
afterAll(() => mmun.remove());

describe("mmun verdicts", () => {
  it("exits 1 when the device is stuck somewhere, with a row for each kernel", () => {
    const { code, stdout } = mmun.run(["verdicts", "arm-smmu", "--kernel", "v6.4", "--kernel", "v6.12"]);

    expect(code).toBe(1);
    expect(stdout).toMatch(/^v6\.4 +LIVELOCK/m);
    expect(stdout).toMatch(/^v6\.12 +1f 2c hook/m);
  });

  it("exits 0 when it is not, and prints JSON", () => {
    const { code, stdout } = mmun.run(["verdicts", "kvm", "--kernel", "v6.12", "--json"]);

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toHaveLength(5);
  });

  it("exits 2 for a driver that is not there", () => {
    const { code, stderr } = mmun.run(["verdicts", "arm-smu"]);

    expect(code).toBe(2);
    expect(stderr).toContain('Did you mean "arm-smmu"?');
  });
});
