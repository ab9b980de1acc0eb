import type { SecondaryMmuDefinition } from "@mmu-notifier/sdk";

/**
 * Tests that a driver does not pass, and why that is right.
 *
 * @public
 */
export interface Skip {
  /** Shown with each test that is left out. */
  readonly reason: string;
  /** Titles of tests without the kernel in brackets, or names of whole sections. */
  readonly tests: readonly string[];
  /**
   * Kernels on which they are left out.
   *
   * @defaultValue all
   */
  readonly kernels?: readonly string[];
}

/**
 * What {@link secondaryMmuSuite} puts to the test.
 *
 * @public
 */
export interface SuiteOptions<D = never, O extends object = never> {
  /** What the driver package exports by default. */
  readonly driver: SecondaryMmuDefinition<D, O>;
  /** Options of the driver. @defaultValue its own defaults */
  readonly options?: Partial<O>;
  /** Heads the tests. @defaultValue the driver's name */
  readonly title?: string;
  /** Kernels by name. @defaultValue all that ship */
  readonly kernels?: readonly string[];
  /** Architectures by name. @defaultValue arm64 */
  readonly archs?: readonly string[];
  /** Tests to leave out. A name that no test has is an error. @defaultValue none */
  readonly skip?: readonly Skip[];
  /** Random scripts a kernel. @defaultValue 40 */
  readonly fuzzRuns?: number;
  /** Kernels, of `kernels`, on which every interleaving of the checker's scenarios is taken. @defaultValue v6.12 */
  readonly interleavingKernels?: readonly string[];
  /** States of a scenario after which the search is cut off. @defaultValue 20,000 */
  readonly maxStates?: number;
}
