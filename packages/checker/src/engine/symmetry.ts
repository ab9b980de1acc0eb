import type { Automaton, Node } from "./automaton.js";
import { ModelError } from "./errors.js";
import type { Renaming } from "./model.js";
import { PackedStore } from "./packed-store.js";
import type { Walker } from "./walker.js";

/**
 * Renamings of a model, applied to the state in work: of all states that they make equal, the one whose packed words come first
 * stands for the others.
 */
export class Symmetry {
  readonly #renamings: readonly Renaming[];
  readonly #automata: readonly Automaton[];
  readonly #store: PackedStore;
  /** The image of each local state, by renaming and task. */
  readonly #images: readonly (readonly Map<number, number>[])[];

  /** @throws ModelError CHECKER_SYMMETRY_STATE when the model's memory is not declared field by field. */
  constructor(walker: Walker) {
    if (!(walker.store instanceof PackedStore)) {
      throw new ModelError(
        "CHECKER_SYMMETRY_STATE",
        `model ${walker.model.name}: symmetry needs a DeclaredState, whose fields a renaming can permute`,
        {
          model: walker.model.name,
        },
      );
    }
    this.#store = walker.store;
    this.#automata = walker.automata;
    this.#renamings = walker.model.symmetry ?? [];
    this.#images = this.#renamings.map(() => walker.automata.map(() => new Map<number, number>()));
  }

  /**
   * Turns the state in work into the one that stands for it.
   *
   * @returns true when it was another one.
   */
  canonicalise(): boolean {
    const store = this.#store;
    const tasks = this.#automata.length;
    const nodes = Array.from({ length: tasks }, (_, t) => store.node(t));
    const images = this.#renamings.map((renaming, r) => nodes.map((node, t) => this.#image(renaming, r, t, node)));
    const original = store.words();
    let best = original;
    this.#renamings.forEach(({ state, task }, r) => {
      store.setRow(original);
      state();
      for (let t = 0; t < tasks; t++) store.setNode(task(t), images[r]![t]!);
      const row = store.words();
      if (comesBefore(row, best)) best = row;
    });
    store.setRow(best);
    return best !== original;
  }

  #image(renaming: Renaming, r: number, task: number, id: number): number {
    const known = this.#images[r]![task]!.get(id);
    if (known !== undefined) return known;
    const target = this.#automata[renaming.task(task)]!;
    const node = this.#automata[task]!.nodes[id]!;
    let image = target.begin(renaming.locals?.(task, node.locals) ?? node.locals);
    stepsTo(node).forEach((at, i) => {
      const result = node.log[i]!;
      image = target.advance(target.nodes[image]!, renaming.result?.(task, at.step!.label, result) ?? result);
    });
    this.#images[r]![task]!.set(id, image);
    // A field that needs more bits gets them before rows are compared.
    this.#store.fit(renaming.task(task), image);
    return image;
  }
}

/** The local states before `node` in its iteration, first one first. */
function stepsTo(node: Node): Node[] {
  const way: Node[] = [];
  for (let at = node.parent; at !== undefined; at = at.parent) way.unshift(at);
  return way;
}

function comesBefore(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}
