import type { Path } from "@mmu-notifier/steps";
import type { InFlight } from "./in-flight.js";
import type { TranslationResult } from "./translation-result.js";

/**
 * What tracks an access at one moment of its path, for the step that comes next. It never changes: a checker runs a step again from other
 * states, when the path that made the step is further on.
 *
 * @public
 */
export class HeldRows {
  readonly #rows: readonly { readonly tracker: InFlight; readonly row: number }[];

  constructor(rows: readonly { readonly tracker: InFlight; readonly row: number }[] = []) {
    this.#rows = rows;
  }

  /** Some stage tracks the access. */
  get any(): boolean {
    return this.#rows.length > 0;
  }

  with(tracker: InFlight, row: number): HeldRows {
    return new HeldRows([...this.#rows, { tracker, row }]);
  }

  without(tracker: InFlight, row: number): HeldRows {
    return new HeldRows(this.#rows.filter((held) => held.tracker !== tracker || held.row !== row));
  }

  /** True when an invalidation overtook the access. Inside steps. */
  killed(): boolean {
    return this.#rows.some(({ tracker, row }) => tracker.isKilled(row));
  }

  /** The access is over: nothing waits for it any more. Inside the access's last step. */
  end(): void {
    for (const { tracker, row } of this.#rows) tracker.end(row);
  }
}

/**
 * One attempt of one access, as it passes through the stages. It belongs to the access's path: everything in it comes from
 * arguments and step results, and it changes between steps. A step takes what it needs before it is made: `const { held } = request`.
 *
 * @public
 */
export class AccessRequest {
  readonly vpn: number;
  readonly write: boolean;
  /** An ATS translation request: missing rights are cleared in the completion instead of faulting, and nothing is used here. */
  readonly ats: boolean;
  readonly #whole: AccessRequest | undefined;
  #held = new HeldRows();

  /** @param of the request that this one is a part of (stage 2 of a two-stage translation): what tracks one tracks the other */
  constructor(vpn: number, write: boolean, ats = false, of?: AccessRequest) {
    this.vpn = vpn;
    this.write = write;
    this.ats = ats;
    this.#whole = of;
  }

  /** What tracks this access now. */
  get held(): HeldRows {
    return this.#whole === undefined ? this.#held : this.#whole.held;
  }

  /** The stage that began tracking this access says so, with the row that its step returned. Between steps. */
  hold(tracker: InFlight, row: number): void {
    if (this.#whole === undefined) this.#held = this.#held.with(tracker, row);
    else this.#whole.hold(tracker, row);
  }

  /** The stage that tracked this access in `row` has ended that in its step. Between steps. */
  letGo(tracker: InFlight, row: number): void {
    if (this.#whole === undefined) this.#held = this.#held.without(tracker, row);
    else this.#whole.letGo(tracker, row);
  }
}

/** The rest of a translation, below a stage. */
export type NextStage = (request: AccessRequest) => Path<TranslationResult>;

/**
 * One stage on the way from the device to the page table: a cache, a table of contexts, a walker.
 *
 * A stage that answers with a fault or with {@link TRANSLATION_KILLED} has ended what it tracks; one that answers with a
 * leaf leaves that to the access.
 *
 * @public
 */
export interface TranslationStage {
  translate(request: AccessRequest, next: NextStage): Path<TranslationResult>;
  /**
   * The leaf for page `vpn` if this stage has one with the wanted right and needs nobody else for it, counted as a hit; else 0. For runs
   * in which nothing can come between: a hit then needs no path.
   */
  hit?(vpn: number, write: boolean): TranslationResult;
}

/** The way an access takes: returns a leaf with the wanted right (any leaf for ATS requests), a fault, or TRANSLATION_KILLED. */
export interface Translation {
  translate(request: AccessRequest): Path<TranslationResult>;
  /** {@link TranslationStage.hit} of the stage nearest the device. */
  hit?(vpn: number, write: boolean): TranslationResult;
}
