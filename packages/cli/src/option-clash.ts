import type { Command } from "commander";
import { UsageError } from "./errors.js";

/**
 * Refuses options that were typed and would do nothing in this use of a command.
 *
 * @param why what they do not go with, and what to do instead
 * @throws UsageError
 */
export function refuse(command: Command, options: readonly string[], why: string): void {
  for (const { attributeName, long } of command.options.map((option) => ({
    attributeName: option.attributeName(),
    long: option.long ?? "",
  })))
    if (options.includes(attributeName) && command.getOptionValueSource(attributeName) === "cli")
      throw new UsageError(`${long} does nothing ${why}`, { option: long });
}
