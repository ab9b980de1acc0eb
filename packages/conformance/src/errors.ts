import { MmuNotifierError } from "@mmu-notifier/steps";

/** A corpus file cannot be read as records: which file, which line, what was expected. */
export class CorpusError extends MmuNotifierError {
  constructor(file: string, line: number, problem: string, cause?: unknown) {
    super("CORPUS_FORMAT", `${file}:${line}: ${problem}`, { file, line }, cause === undefined ? undefined : { cause });
  }
}
