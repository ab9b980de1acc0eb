/**
 * Where a search keeps its states. The model works on one copy of its memory; the store puts states into it and takes them out.
 */
export interface StateStore {
  /** States stored so far; they are numbered from 0 in the order they were found. */
  readonly count: number;
  /** Bytes all stored states take, tables included. */
  readonly bytes: number;
  /** Brings state `id` into the working memory. */
  load(id: number): void;
  /** Brings the state loaded last back, after a step changed the working memory. */
  reload(): void;
  /**
   * Looks up the working memory; stores it when it is new.
   *
   * @returns the state's number; compare with {@link count} before the call to see if it was new.
   */
  commit(): number;
  /** The words that tell the state in work from others. */
  words(): Int32Array;
  /** Says that the working memory was changed without a {@link commit}: the next load or reload takes nothing for granted. */
  spoil(): void;
  /** Local state of task `task` in the state in work. */
  node(task: number): number;
  setNode(task: number, node: number): void;
}
