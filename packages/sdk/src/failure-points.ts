/** A part of a device's hardware that can be made to fail, and to work again: a failure is injected, never a surprise. */
export interface FailurePoint {
  /** What fails: "atc 0.1 does not answer invalidate requests". */
  readonly name: string;
  /** Breaks or repairs it. In a step or at set-up. */
  readonly set: (failed: boolean) => void;
}

/** Every way in which one device's hardware may fail; building blocks add theirs as they are made. */
export class FailurePoints {
  readonly #points: FailurePoint[] = [];

  /** At set-up. */
  add(point: FailurePoint): void {
    this.#points.push(point);
  }

  /** In the order they were added. */
  get all(): readonly FailurePoint[] {
    return this.#points;
  }
}
