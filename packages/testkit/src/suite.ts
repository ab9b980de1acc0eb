import { architectures, kernelProfiles } from "@mmu-notifier/core";
import { didYouMean } from "@mmu-notifier/steps";
import { describe, it } from "vitest";
import { TestkitError } from "./errors.js";
import type { Skip, SuiteOptions } from "./options.js";
import type { Section } from "./section.js";
import { contract } from "./sections/contract.js";
import { declarations } from "./sections/declarations.js";
import { fuzz } from "./sections/fuzz.js";
import { interleavings } from "./sections/interleavings.js";
import { teardown } from "./sections/teardown.js";
import { work } from "./sections/work.js";
import type { Subject } from "./subject.js";

/** Random scripts on each kernel, unless the options say otherwise. */
const FUZZ_RUNS = 40;
/** One kernel that tells of every upgrade. */
const INTERLEAVED = ["v6.12"];
const MAX_STATES = 20_000;

/**
 * One test of the suite on one kernel and architecture.
 *
 * @public
 */
export interface SuiteCase {
  readonly section: string;
  readonly title: string;
  readonly kernel: string;
  readonly arch: string;
  /** Why it is left out: the `skip` entry's reason, or why it says nothing about this driver here. */
  readonly leftOut: string | undefined;
  /** Throws when the driver does not do what is asked; returns why there was nothing to ask, if that only showed now. */
  readonly run: () => string | undefined;
}

/**
 * The tests of {@link secondaryMmuSuite} as a list, for other runners.
 *
 * @throws TestkitError TESTKIT_OPTIONS for kernels, architectures and tests of other names
 * @public
 */
export function suiteCases<D, O extends object>(options: SuiteOptions<D, O>): readonly SuiteCase[] {
  const { driver, skip = [], fuzzRuns = FUZZ_RUNS } = options;
  const kernels = known("kernel", kernelProfiles, options.kernels);
  const archs = known("architecture", architectures, options.archs ?? ["arm64"]);
  const interleaved = known("kernel", kernelProfiles, options.interleavingKernels ?? INTERLEAVED);
  const sections: readonly Section[] = [
    contract,
    declarations,
    interleavings(interleaved, options.maxStates ?? MAX_STATES),
    fuzz(fuzzRuns),
    work,
    teardown,
  ];
  checkSkips(skip, sections, kernels);
  const cases: SuiteCase[] = [];
  for (const { name: section, tests, kernels: only = kernels } of sections) {
    for (const arch of archs)
      for (const kernel of kernels.filter((name) => only.includes(name)))
        for (const { title, run, beside } of tests) {
          const subject: Subject = { driver, options: options.options ?? {}, kernel, arch };
          const reason = skip.find((entry) => covers(entry, section, title, kernel))?.reason;
          const leftOut = reason ?? beside?.(subject);
          cases.push({ section, title, kernel, arch, leftOut, run: () => run(subject) ?? undefined });
        }
  }
  return cases;
}

/**
 * Registers the tests that every secondary-MMU driver has to pass: call it at the top of a Vitest file.
 *
 * What a driver does not pass for a reason goes into `skip`, with the reason; it is shown with each test that is left out.
 *
 * @throws TestkitError TESTKIT_OPTIONS for kernels, architectures and tests of other names
 * @example
 * ```ts
 * import { secondaryMmuSuite } from "@mmu-notifier/testkit";
 * import driver from "../src/driver.js";
 *
 * secondaryMmuSuite({ driver });
 * ```
 *
 * @public
 */
export function secondaryMmuSuite<D, O extends object>(options: SuiteOptions<D, O>): void {
  const cases = suiteCases(options);
  describe(options.title ?? options.driver.name, () => {
    for (const section of new Set(cases.map((each) => each.section))) {
      describe(section, () => {
        for (const { title, kernel, arch, leftOut, run } of cases.filter((each) => each.section === section)) {
          it(`${title} [${kernel} ${arch}]`, (context) => {
            if (leftOut !== undefined) context.skip(leftOut);
            const nothing = run();
            if (nothing !== undefined) context.skip(nothing);
          });
        }
      });
    }
  });
}

function covers({ tests, kernels }: Skip, section: string, title: string, kernel: string): boolean {
  return (tests.includes(title) || tests.includes(section)) && (kernels === undefined || kernels.includes(kernel));
}

function checkSkips(skip: readonly Skip[], sections: readonly Section[], kernels: readonly string[]): void {
  const names = new Set(sections.flatMap(({ name, tests }) => [name, ...tests.map(({ title }) => title)]));
  for (const { reason, tests, kernels: only = [] } of skip) {
    if (reason.trim() === "")
      throw new TestkitError(`skip of ${tests.join(", ")} gives no reason. Write one sentence that says why`);
    for (const test of tests)
      if (!names.has(test))
        throw new TestkitError(`skip names a test that does not exist: "${test}".${didYouMean(test, [...names])}`, {
          test,
        });
    for (const kernel of only)
      if (!kernels.includes(kernel))
        throw new TestkitError(
          `skip of ${tests.join(", ")} names kernel "${kernel}", which the suite does not run on.${didYouMean(kernel, kernels)}`,
          { kernel },
        );
  }
}

/** Names as given, or all. */
function known(
  what: string,
  all: readonly { readonly name: string }[],
  given: readonly string[] | undefined,
): readonly string[] {
  const names = all.map(({ name }) => name);
  for (const name of given ?? [])
    if (!names.includes(name))
      throw new TestkitError(`there is no ${what} "${name}".${didYouMean(name, names)} There are ${names.join(", ")}`, {
        name,
      });
  return given ?? names;
}
