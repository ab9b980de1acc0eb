import { MmuNotifierError } from "@mmu-notifier/steps";

/** A model, or an option of a search, that the checker can not work with: CHECKER_* codes. */
export class ModelError extends MmuNotifierError {}

/** A task, step or driver that keeps state where the checker can not see it: CHECKER_HIDDEN_STATE. */
export class HiddenStateError extends MmuNotifierError {}
