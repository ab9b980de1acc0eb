import { ScriptError } from "./errors.js";

/** Control characters but for tab and the line ends. */
const CONTROL = /[^\P{Cc}\t\n\r]/u;

/** Strict text: a script is UTF-8 without control characters other than tab and line ends. */
export function decode(source: string | Uint8Array, file: string): string {
  let text: string;
  if (typeof source === "string") text = source;
  else {
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(source);
    } catch {
      throw new ScriptError(
        "SCRIPT_NOT_TEXT",
        file,
        { line: 1, column: 1 },
        "expected a text file in UTF-8, but its bytes are not UTF-8",
      );
    }
  }
  const control = CONTROL.exec(text);
  if (control !== null) {
    const before = text.slice(0, control.index);
    const line = before.split("\n").length;
    const column = control.index - before.lastIndexOf("\n");
    const code = control[0].charCodeAt(0).toString(16).padStart(2, "0");
    throw new ScriptError(
      "SCRIPT_NOT_TEXT",
      file,
      { line, column },
      `expected text, found the control character 0x${code}`,
    );
  }
  return text;
}
