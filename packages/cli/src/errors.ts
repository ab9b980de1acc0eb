import { MmuNotifierError } from "@mmu-notifier/steps";

/** Exit codes: all is well, something was found, wrong use or input. */
export const EXIT_OK = 0;
export const EXIT_FINDING = 1;
export const EXIT_USAGE = 2;

/** The command was used wrongly, or its input cannot be read. */
export class UsageError extends MmuNotifierError {
  constructor(message: string, details: Readonly<Record<string, string>> = {}) {
    super("CLI_USAGE", message, details);
  }
}
