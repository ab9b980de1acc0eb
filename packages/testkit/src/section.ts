import type { Subject } from "./subject.js";

/** One thing that is asked of every driver. */
interface SuiteTest {
  readonly title: string;
  /** Throws when the driver does not do what is asked. */
  readonly run: (subject: Subject) => void;
  /** Why the test says nothing about this driver here; undefined when it does. */
  readonly beside?: (subject: Subject) => string | undefined;
}

/** Tests about one subject. */
export interface Section {
  readonly name: string;
  readonly tests: readonly SuiteTest[];
}
