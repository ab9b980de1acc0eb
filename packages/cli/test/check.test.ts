import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mmun } from "./mmun.js";

let mmun: Mmun;
beforeAll(async () => {
  mmun = await Mmun.build();
});
afterAll(() => mmun.remove());

const RACE = `device smmu0 driver arm-smmu
== race arena 4
map 0 1 rw- p anon
write 0
dev smmu0 write 0
thread cpu {
protect 0 1 r--
}
thread device {
dev smmu0 write 0
}
`;

describe("mmun check", () => {
  it("puts a driver through scenarios: a line each, a table, the model and its bounds", () => {
    const { code, stdout, stderr } = mmun.run(["check", "arm-smmu", "--kernel", "v6.12", "--scenarios", "X1,X4,X16"]);

    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^X1 +passes +the device has a page read-only, .* \(\d+ states\)$/m);
    expect(stdout).toMatch(/passes +3 +X1 X4 X16/);
    expect(stdout.replaceAll("\n", " ")).toMatch(
      /Model: kernel v6\.12, arm64.*fairness by task; no reduction\. Every search is complete\./,
    );
  });

  it("shows a finding as a table of 100 columns that ends with a sentence, and runs it again", () => {
    const { code, stdout } = mmun.run(["check", "arm-smmu", "--kernel", "v6.4", "--scenarios", "X1"]);

    expect(code).toBe(1);
    expect(stdout).toContain("as the rules say: the host tells nobody");
    expect(stdout).toContain(
      "device goes on for ever and nobody makes progress\nBroken: progress: whoever tries again",
    );
    expect(stdout).toContain("    |     dev0's IOTLB: frame 2 r-  <- fewer rights");
    expect(stdout.replaceAll(/\s+/g, " ")).toMatch(
      /Driver arm-smmu on v6\.4, arm64 at step \d+: device never gets through: page 0 is frame 2 rw in the page table, dev0's IOTLB keeps "frame 2 r-", and none of the \d+ steps that repeat drops it\./,
    );
    const table = stdout.slice(stdout.indexOf("      cpu"), stdout.indexOf("Driver arm-smmu on"));
    for (const line of table.split("\n")) expect(line.length).toBeLessThanOrEqual(100);

    const [, schedule] = /--replay '([^']+)'/.exec(stdout)!;
    const again = mmun.run(["check", "arm-smmu", "--kernel", "v6.4", "--replay", schedule!]);
    expect(again.code).toBe(0);
    expect(again.stdout).toContain("from here on for ever");
    expect(again.stdout).toContain("{page tables");
  });

  it("explores the threads of a script, with another kernel if one is asked for", () => {
    expect(mmun.run(["check", "-", "--kernel", "v6.12"], { input: RACE }).code).toBe(0);
    const { code, stdout } = mmun.run(["check", "-", "--kernel", "v6.12", "--json"], { input: RACE });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ scenario: "race", verdict: "passes", bounds: "complete", findings: [] });
  });

  it.each([
    ["mermaid", /^sequenceDiagram/],
    ["perfetto", /^\{"traceEvents":\[/],
    ["json", /^\{"finding":/],
  ])("exports the first finding as %s and nothing else, or says that there is none", (form, start) => {
    const { code, stdout } = mmun.run(["check", "arm-smmu", "--kernel", "v6.4", "--scenarios", "X2", "--export", form]);
    expect(code).toBe(1);
    expect(stdout).toMatch(start);

    const none = mmun.run(["check", "arm-smmu", "--scenarios", "X2", "--export", form]);
    expect([none.code, none.stdout]).toEqual([0, ""]);
    expect(none.stderr).toContain("nothing was found that has steps to export");
  });

  it("runs a script's finding again on the machine that its last line names, in another form as well", () => {
    const script =
      "device smmu0 driver arm-smmu\nmemfd f 2\nmap 0 1 rw- s f\nread 0\ndev smmu0 read 0\ndev smmu0 write 0\n";
    const { code, stdout } = mmun.run(["check", "-", "--kernel", "v6.4", "--driver", "smmu0=arm-smmu"], {
      input: script,
    });
    expect(code).toBe(1);
    const [, again] = /^again: mmun check (.*)$/m.exec(stdout)!;
    expect(again).toMatch(/^- --script stdin --kernel v6\.4 --driver smmu0=arm-smmu --replay '/);
    const argv = ["check", ...again!.replaceAll("'", "").split(" ")];
    expect(mmun.run(argv, { input: script }).stdout).toContain("from here on for ever");
    expect(mmun.run([...argv, "--export", "mermaid"], { input: script }).stdout).toMatch(/^sequenceDiagram/);
    const { steps } = JSON.parse(mmun.run([...argv, "--export", "json"], { input: script }).stdout) as {
      steps: object[];
    };
    expect(steps.length).toBeGreaterThan(20);
  });

  it("says that a search was cut off", () => {
    const { code, stdout } = mmun.run(["check", "kvm", "--scenarios", "X5", "--bound", "100"]);
    expect(code).toBe(0);
    expect(stdout).toContain("cut off");
    expect(stdout.replaceAll("\n", " ")).toContain("Cut off: X5 (cut off at 100 states)");
  });

  it.each([
    [["check"], "expected a driver or a script"],
    [["check", "--replay", "X5/2deb:A"], "expected the driver or the script that the schedule belongs to"],
    [["check", "nosuch"], 'there is no driver "nosuch"'],
    [["check", "kvm", "--scenarios", "X99"], "there is no such scenario"],
    [["check", "kvm", "--fair", "dice"], "expected task or cpu"],
    [["check", "kvm", "--bound", "few"], "expected a number of states"],
    [["check", "kvm", "--export", "gif"], "expected mermaid, perfetto, json"],
    [["check", "kvm", "--replay", "X5/nonsense"], "is no schedule"],
  ])("%j is wrong use", (argv, message) => {
    const { code, stderr } = mmun.run(argv);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
