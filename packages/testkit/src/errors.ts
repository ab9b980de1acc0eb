import { MmuNotifierError } from "@mmu-notifier/steps";

/**
 * The suite was given something that it cannot work with: code `TESTKIT_OPTIONS`.
 *
 * @public
 */
export class TestkitError extends MmuNotifierError {
  constructor(message: string, details: Readonly<Record<string, string>> = {}) {
    super("TESTKIT_OPTIONS", message, details);
  }
}
