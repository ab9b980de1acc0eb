import { MmuNotifierError } from "@mmu-notifier/steps";

/** Something that the oracle needs and this machine lacks. */
export interface Missing {
  readonly what: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** The oracle cannot work on this machine: everything that is missing, with what to do. */
export class OracleUnavailableError extends MmuNotifierError {
  readonly missing: readonly Missing[];

  constructor(missing: readonly Missing[]) {
    const list = missing.map(({ what, remedy }) => `${what} (${remedy})`).join("; ");
    super("ORACLE_UNAVAILABLE", `the oracle needs what this machine lacks: ${list}`, {
      missing: missing.map(({ what }) => what),
    });
    this.missing = missing;
  }
}

/** The interpreter could not be compiled, or did not do its work. */
export class OracleError extends MmuNotifierError {
  constructor(
    code: "ORACLE_BUILD" | "ORACLE_INTERPRETER" | "ORACLE_INTERRUPTED",
    message: string,
    details: Readonly<Record<string, string>> = {},
  ) {
    super(code, message, details);
  }
}

/** An op that the model can run and a kernel from user space cannot, or not without harm. */
export class OracleOpError extends MmuNotifierError {
  constructor(file: string, line: number, op: string, why: string) {
    super("ORACLE_OP", `${file}:${line}: ${JSON.stringify(op)} cannot run on this kernel: ${why}`, { file, line, op });
  }
}
