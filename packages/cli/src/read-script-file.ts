import { readFileSync } from "node:fs";
import { UsageError } from "./errors.js";

/**
 * The bytes of a script file, or of standard input for `-`.
 *
 * @throws UsageError naming the file and why it cannot be read
 */
export function readScriptFile(file: string): Uint8Array {
  try {
    return readFileSync(file === "-" ? 0 : file);
  } catch (error) {
    throw unreadable(file, error, "Give the path of a script, or - for standard input");
  }
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is no folder",
  EISDIR: "it is a folder",
  EACCES: "it may not be read",
};

/** What the file system says about a file that it does not open. */
export function reasonOf(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return WHY[code] ?? message;
}

/** What somebody is told of a file that the file system refuses, and what to give instead. */
export function unreadable(file: string, error: unknown, instead: string): UsageError {
  return new UsageError(`cannot read ${file}: ${reasonOf(error)}. ${instead}`, { file });
}
