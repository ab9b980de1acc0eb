import { type Memory, Vectors } from "@mmu-notifier/steps";

/**
 * The interval trees of mm/interval_tree.c: the VMAs that map a file (i_mmap) or hold on to a tree of anon_vmas. They are walked by
 * the page that a VMA begins with. Among equals the order is that of insertion, which is all that is kept here; a VMA whose range
 * changes is taken out and put in again.
 */
export class IntervalTrees {
  readonly #inserted: Vectors;

  constructor(memory: Memory, name: string) {
    this.#inserted = new Vectors(memory, name, 4);
  }

  create(): number {
    return this.#inserted.create();
  }

  destroy(tree: number): void {
    this.#inserted.destroy(tree);
  }

  /** vma_interval_tree_insert(): behind all VMAs that begin with the same page. */
  insert(tree: number, vma: number): void {
    this.#inserted.insert(tree, this.#inserted.length(tree), vma);
  }

  /** vma_interval_tree_insert_after(): right behind `previous`, which begins with the same page. */
  insertAfter(tree: number, vma: number, previous: number): void {
    this.#inserted.insert(tree, this.#inserted.indexOf(tree, previous) + 1, vma);
  }

  remove(tree: number, vma: number): void {
    this.#inserted.remove(tree, vma);
  }

  /**
   * vma_interval_tree_foreach(), one step: the VMA behind `after` (0: the first) among those that `suits` accepts; 0 for none.
   *
   * @param pgoff the page that a VMA begins with
   */
  next(tree: number, after: number, pgoff: (vma: number) => number, suits: (vma: number) => boolean): number {
    const length = this.#inserted.length(tree);
    const bound = after === 0 ? -1 : pgoff(after);
    let passed = after === 0;
    let best = 0;
    for (let i = 0; i < length; i++) {
      const vma = this.#inserted.at(tree, i);
      if (vma === after) passed = true;
      else if (
        (passed ? pgoff(vma) >= bound : pgoff(vma) > bound) &&
        (best === 0 || pgoff(vma) < pgoff(best)) &&
        suits(vma)
      )
        best = vma;
    }
    return best;
  }
}
