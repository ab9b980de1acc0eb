/** What a comparison left out, and how often: everything that the recordings call indeterminate, and nothing else. */
export class LeftOut {
  readonly #counts = new Map<string, number>();

  add(what: string, times = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + times);
  }

  addAll(other: LeftOut): void {
    for (const [what, times] of other.#counts) this.add(what, times);
  }

  /** Number of operations (or scripts, as the text says) by what was left out. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
