import type { Path } from "@mmu-notifier/steps";
import type { InFlight } from "./in-flight.js";
import type { TranslationResult } from "./translation-result.js";

/**
 * One attempt of one access, as it passes through the stages. It belongs to the access's path: everything in it comes from
 * arguments and step results.
 *
 * @public
 */
export class AccessRequest {
  readonly vpn: number;
  readonly write: boolean;
  /** An ATS translation request: missing rights are cleared in the completion instead of faulting, and nothing is used here. */
  readonly ats: boolean;
  readonly #held: { readonly tracker: InFlight; readonly row: number }[];

  /** @param of the request that this one is a part of (stage 2 of a two-stage translation): what tracks one tracks the other */
  constructor(vpn: number, write: boolean, ats = false, of?: AccessRequest) {
    this.vpn = vpn;
    this.write = write;
    this.ats = ats;
    this.#held = of === undefined ? [] : of.#held;
  }

  /** Some stage tracks this access. */
  get tracked(): boolean {
    return this.#held.length > 0;
  }

  /** The stage that began tracking this access says so, with the row that its step returned. */
  hold(tracker: InFlight, row: number): void {
    this.#held.push({ tracker, row });
  }

  /** The stage that tracked this access in `row` has ended that in its step. */
  letGo(tracker: InFlight, row: number): void {
    const at = this.#held.findIndex((held) => held.tracker === tracker && held.row === row);
    if (at >= 0) this.#held.splice(at, 1);
  }

  /** True when an invalidation overtook the access. Inside steps. */
  killed(): boolean {
    return this.#held.some(({ tracker, row }) => tracker.isKilled(row));
  }

  /** The access is over: nothing waits for it any more. Inside the access's last step. */
  end(): void {
    for (const { tracker, row } of this.#held) tracker.end(row);
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
