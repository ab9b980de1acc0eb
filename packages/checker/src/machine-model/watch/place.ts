import type { Step } from "@mmu-notifier/steps";

/** Where on its task's path a step lies: known when the path is made, and so the same in every state. */
export interface Place {
  /** The notifier callback that it is part of: "arm-smmu dev0.invalidate_range_end"; undefined outside of one. */
  readonly callback: string | undefined;
  /** A callback that came to its end since the task's last step. */
  readonly left: string | undefined;
}

/** Follows a path, and says where each of its steps lies. */
export class PlaceTracker {
  readonly #isCallback: (fn: string) => boolean;
  readonly #functions: string[] = [];
  /** How deep the outermost callback lies; -1 outside. */
  #depth = -1;
  #left: string | undefined;

  constructor(isCallback: (fn: string) => boolean) {
    this.#isCallback = isCallback;
  }

  marker({ effect }: Step): void {
    if (effect?.kind === "enter") {
      if (this.#depth < 0 && this.#isCallback(effect.fn)) this.#depth = this.#functions.length;
      this.#functions.push(effect.fn);
    } else if (effect?.kind === "leave") {
      const fn = this.#functions.pop();
      if (this.#depth !== this.#functions.length) return;
      this.#depth = -1;
      this.#left = fn;
    }
  }

  step(): Place {
    const place: Place = {
      callback: this.#depth < 0 ? undefined : this.#functions[this.#depth],
      left: this.#left,
    };
    this.#left = undefined;
    return place;
  }
}
