/** Counters that a device has beside its commands. */
export const COST_COUNTERS = [
  "syncs",
  "atcInvalidations",
  "timeouts",
  "hits",
  "misses",
  "walks",
  "walkReads",
  "insertions",
  "killedWalks",
  "evictions",
  "needlessEvictions",
  "refills",
  "translationRequests",
  "pageRequests",
  "faults",
  "spuriousFaults",
  "retries",
  "selfRetries",
  "zaps",
  "remoteFlushes",
  "ipis",
  "callbacks",
  "accesses",
  "aborts",
] as const;

/** Name of a counter. */
export type CostCounter = (typeof COST_COUNTERS)[number];

/** Every counter and the commands by mnemonic, as plain data. */
export type CostReport = Readonly<Record<CostCounter, number>> & {
  readonly commands: Readonly<Record<string, number>>;
};

/**
 * What a device's coherence costs. Counts are kept outside the machine's memory: they never tell two states apart, and a
 * checker that goes back does not take them back.
 *
 * @public
 */
export class Costs {
  readonly #counters = new Map<CostCounter, number>();
  readonly #commands = new Map<string, number>();
  readonly #dropped = new Set<number>();
  #issued = 0;

  /** Counts `by` more of `counter`. */
  count(counter: CostCounter, by = 1): void {
    this.#counters.set(counter, (this.#counters.get(counter) ?? 0) + by);
  }

  /** Counts a command by its mnemonic. */
  command(mnemonic: string, by = 1): void {
    this.#commands.set(mnemonic, (this.#commands.get(mnemonic) ?? 0) + by);
    this.#issued += by;
  }

  of(counter: CostCounter): number {
    return this.#counters.get(counter) ?? 0;
  }

  /** Commands with this mnemonic; without one, commands of all kinds. */
  commands(mnemonic?: string): number {
    return mnemonic === undefined ? this.#issued : (this.#commands.get(mnemonic) ?? 0);
  }

  /** An entry that was still right left a cache; if it comes back, that is a refill. */
  dropped(asid: number, vpn: number, needless: boolean): void {
    this.count("evictions");
    if (!needless) return;
    this.count("needlessEvictions");
    this.#dropped.add(asid * 2 ** 36 + vpn);
  }

  /** An entry was put into a cache. */
  inserted(asid: number, vpn: number): void {
    this.count("insertions");
    if (this.#dropped.delete(asid * 2 ** 36 + vpn)) this.count("refills");
  }

  report(): CostReport {
    const counters = Object.fromEntries(COST_COUNTERS.map((counter) => [counter, this.of(counter)])) as Record<
      CostCounter,
      number
    >;
    return { ...counters, commands: Object.fromEntries([...this.#commands].sort(([a], [b]) => (a < b ? -1 : 1))) };
  }

  reset(): void {
    this.#counters.clear();
    this.#commands.clear();
    this.#issued = 0;
    this.#dropped.clear();
  }
}
