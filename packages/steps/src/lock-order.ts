import { LockOrderError } from "./errors.js";
import type { LockClass } from "./lock.js";

/** More than there are lock classes. */
const CLASSES = 1 << 14;

/** Where a lock class was first taken while another was held. */
interface Edge {
  readonly task: string;
  readonly path: string;
}

/**
 * The lock-order graph of one machine, as lockdep keeps it: an edge from each held class to each class taken under it.
 * A cycle means that two tasks can wait for each other, even if they did not this time.
 *
 * @public
 */
export class LockOrder {
  readonly #edges = new Map<LockClass, Map<LockClass, Edge>>();
  /** The edges as numbers, for the question that is asked at each acquisition. */
  readonly #known = new Set<number>();

  /** True when `taken` was acquired under `held` before, so that recording it again says nothing new. */
  knows(held: LockClass, taken: LockClass): boolean {
    return this.#known.has(held.id * CLASSES + taken.id);
  }

  /**
   * Records that `taken` was acquired under `held`.
   *
   * @throws LockOrderError LOCK_ORDER when the opposite order is already known, naming both paths.
   */
  record(held: LockClass, taken: LockClass, task: string, path: string): void {
    let known = this.#edges.get(held);
    if (known?.has(taken)) return;
    const reverse = this.#chain(taken, held);
    if (reverse !== undefined) {
      const [first] = reverse;
      throw new LockOrderError(
        "LOCK_ORDER",
        `task ${task} takes ${taken.name} while it holds ${held.name} (in ${path}), but task ${first!.edge.task} took ${reverse
          .map(({ to }) => to.name)
          .join(
            ", then ",
          )} while it held ${taken.name} (in ${first!.edge.path}). Take them in one order everywhere, or drop ${held.name} first`,
        { task, path, held: held.name, taken: taken.name, otherTask: first!.edge.task, otherPath: first!.edge.path },
      );
    }
    if (known === undefined) {
      known = new Map();
      this.#edges.set(held, known);
    }
    known.set(taken, { task, path });
    this.#known.add(held.id * CLASSES + taken.id);
  }

  /** The shortest chain of edges from one class to another, if there is one. */
  #chain(from: LockClass, to: LockClass): { to: LockClass; edge: Edge }[] | undefined {
    const cameBy = new Map<LockClass, { from: LockClass; edge: Edge }>();
    const queue = [from];
    for (const at of queue) {
      for (const [next, edge] of this.#edges.get(at) ?? []) {
        if (cameBy.has(next)) continue;
        cameBy.set(next, { from: at, edge });
        if (next === to) {
          const chain: { to: LockClass; edge: Edge }[] = [];
          for (let c = to; ;) {
            const step = cameBy.get(c)!;
            chain.unshift({ to: c, edge: step.edge });
            if (step.from === from) return chain;
            c = step.from;
          }
        }
        queue.push(next);
      }
    }
    return undefined;
  }
}
