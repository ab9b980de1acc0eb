import type { Subject } from "./subject.js";

/** One thing that is asked of every driver. */
interface SuiteTest {
  readonly title: string;
  /** Throws when the driver does not do what is asked. May find only now, and return, why there is nothing to ask. */
  readonly run: (subject: Subject) => string | undefined | void;
  /** Why the test says nothing about this driver here; undefined when it does. */
  readonly beside?: (subject: Subject) => string | undefined;
}

/** Tests about one subject. */
export interface Section {
  readonly name: string;
  /** Kernels that it runs on, of those of the suite. @defaultValue all */
  readonly kernels?: readonly string[];
  readonly tests: readonly SuiteTest[];
}
