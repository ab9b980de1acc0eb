import { kernelProfiles } from "@mmu-notifier/core";
import type { Binding, IntervalMirror, SecondaryMmuDefinition } from "@mmu-notifier/sdk";
import { describe, it } from "vitest";
import { accessTests } from "./access-tests.js";
import { exclusiveTests } from "./exclusive-tests.js";
import { migrationTests } from "./migration-tests.js";
import { HmmScene } from "./scene.js";
import { snapshotTests } from "./snapshot-tests.js";
import type { HmmLeftOut, HmmTest } from "./table.js";

/**
 * A driver that has an interval mirror.
 *
 * @public
 */
export interface HmmTestsOptions<D, O extends object, B extends Binding> {
  readonly driver: SecondaryMmuDefinition<D, O>;
  /** The mirror of one of its bindings. */
  readonly mirrorOf: (binding: B) => IntervalMirror;
  /** @defaultValue v6.1, v6.12, v6.18 and v7.3 */
  readonly kernels?: readonly string[];
}

const KERNELS = ["v6.1", "v6.12", "v6.18", "v7.3"];
const PRIVATE = "the model has no ZONE_DEVICE memory that the CPU cannot reach: a page that moves stays mapped";

/**
 * Tests of tools/testing/selftests/mm/hmm-tests.c that do not apply, and why.
 *
 * @public
 */
export const hmmTestsLeftOut: readonly HmmLeftOut[] = [
  { id: "HMM-14", name: "mixedmap", reason: "it maps the test driver's own file; the model has no such file" },
  { id: "HMM-15", name: "snapshot [private]", reason: PRIVATE },
  { id: "HMM-17", name: "migrate [private], and every other test's variant with private memory", reason: PRIVATE },
  {
    id: "HMM-19",
    name: "migrate_release",
    reason: "it evicts device memory when the driver goes; device memory is ordinary memory here",
  },
  {
    id: "HMM-21",
    name: "migrate_mixed [the foreign page]",
    reason: "it selects pages by the kind of their memory, which the model does not keep",
  },
  { id: "HMM-22", name: "migrate_multiple [back to the system]", reason: "as HMM-19" },
  {
    id: "HMM-30",
    name: "migrate_anon_huge_err",
    reason: "it makes the test driver's allocator fail; the model's device memory is the machine's",
  },
  { id: "HMM-31", name: "migrate_anon_huge_zero_err", reason: "as HMM-30" },
  { id: "HMM-32", name: "benchmark_thp_migration", reason: "it asserts nothing" },
  {
    id: "HMM-36",
    name: "hmm_gup_test",
    reason: "long-term pins move pages out of device memory, which the model does not tell from other memory",
  },
];

const TESTS: readonly HmmTest[] = [...accessTests, ...snapshotTests, ...migrationTests, ...exclusiveTests];

/**
 * Registers Linux's own tests of HMM as Vitest tests: the operations and the asserted outcomes are those of hmm-tests.c, each on
 * the kernels that have it.
 *
 * @public
 */
export function hmmTests<D, O extends object, B extends Binding>(options: HmmTestsOptions<D, O, B>): void {
  const { driver, mirrorOf, kernels = KERNELS } = options;
  const subject = { driver, mirrorOf: (binding: Binding) => mirrorOf(binding as B) };
  describe(`hmm-tests: ${driver.name}`, () => {
    for (const { id, name, thp, run, since, before } of TESTS)
      for (const kernel of kernels) {
        const { version } = kernelProfiles.find((profile) => profile.name === kernel)!;
        const [major, minor] = version;
        const old = (than: readonly [number, number]): boolean =>
          major < than[0] || (major === than[0] && minor < than[1]);
        if ((since !== undefined && old(since)) || (before !== undefined && !old(before))) continue;
        it(`${id} ${name} [${kernel}]`, () => {
          const scene = new HmmScene(subject, kernel, thp);
          try {
            run(scene);
          } finally {
            scene.close();
          }
        });
      }
  });
}
