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
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOENT"
        ? "there is no such file"
        : code === "EISDIR"
          ? "it is a folder"
          : code === "EACCES"
            ? "it may not be read"
            : (code ?? "it cannot be read");
    throw new UsageError(`cannot read ${file}: ${why}. Give the path of a script, or - for standard input`, { file });
  }
}
