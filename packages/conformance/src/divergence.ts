import type { Happening } from "@mmu-notifier/script";
import type { FieldDiff } from "./field-diff.js";

/** One operation in which the model and the record differ. */
export interface Divergence {
  readonly script: string;
  /** Place of the operation in its script, from 0. */
  readonly step: number;
  /** The script up to the operation. */
  readonly ops: readonly string[];
  readonly diffs: readonly FieldDiff[];
  /** What the model could not do at all. */
  readonly error?: string;
  /** What happened inside the operation on the model. */
  readonly happened?: readonly Happening[];
  /** Call paths that the record shows, innermost function first. */
  readonly via?: readonly string[];
}

/** What became of one operation: undefined where the model and the record agree. */
export type Outcome = Divergence | undefined;

/** Error of an operation as one line. */
export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
