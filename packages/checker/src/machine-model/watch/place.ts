import type { Machine } from "@mmu-notifier/machine";
import type { Step } from "@mmu-notifier/steps";

/** A notifier callback of a device, as it is called in functions' names: "arm-smmu dev0.invalidate_range_end". */
export interface Callback {
  readonly fn: string;
  /** Number of the device. */
  readonly device: number;
}

/** Where on its task's path a step lies: known when the path is made, and so the same in every state. */
export interface Place {
  /** The outermost callback that it is part of; undefined outside of one. */
  readonly callback: Callback | undefined;
  /** A callback that came to its end since the task's last step. */
  readonly left: Callback | undefined;
}

/** Follows a path, and says where each of its steps lies. */
export class PlaceTracker {
  readonly #callbacks: readonly string[];
  #depth = 0;
  #callback: Callback | undefined;
  /** How deep that lies. */
  #from = 0;
  #left: Callback | undefined;

  constructor({ devices }: Machine) {
    this.#callbacks = devices.map(({ definition, name }) => `${definition.name} ${name}.`);
  }

  marker({ effect }: Step): void {
    if (effect?.kind === "enter") {
      this.#depth++;
      if (this.#callback !== undefined) return;
      const device = this.#callbacks.findIndex((callback) => effect.fn.startsWith(callback));
      if (device < 0) return;
      this.#callback = { fn: effect.fn, device };
      this.#from = this.#depth;
    } else if (effect?.kind === "leave") {
      if (this.#callback !== undefined && this.#depth === this.#from) {
        this.#left = this.#callback;
        this.#callback = undefined;
      }
      this.#depth--;
    }
  }

  step(): Place {
    const place: Place = { callback: this.#callback, left: this.#left };
    this.#left = undefined;
    return place;
  }
}
