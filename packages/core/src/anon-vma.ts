import { IntervalTrees } from "./rmap/interval-tree.js";
import { type Lock, lockAt, lockClass, type Memory, type Segment } from "@mmu-notifier/steps";

const PARENT = 1;
const ACTIVE_VMAS = 2;
const CHILDREN = 3;
const LOCK = 4;
const ROOT = 5;
/** Of a root: the tree of the VMAs below it. */
const RB_ROOT = 6;
const STRIDE = 8;

const ANON_VMA_CLASS = lockClass("anon_vma_rwsem", "rwsem");

/**
 * anon_vma trees: fork gives the child's VMA a new anon_vma below its parent's, so a page is found in every VMA whose anon_vma
 * is the page's own or descends from it.
 */
export class AnonVmas {
  readonly segment: Segment;
  readonly mappings: IntervalTrees;
  readonly #locks: Lock[] = [];

  constructor(memory: Memory, rows = 4) {
    this.segment = memory.segment("anon_vmas", STRIDE, rows);
    this.mappings = new IntervalTrees(memory, "anon_vma trees");
  }

  /** A new anon_vma below `parent`, or a root when that is 0. */
  alloc(parent = 0): number {
    const anonVma = this.segment.alloc();
    const at = anonVma * STRIDE;
    this.segment.i32[at + PARENT] = parent;
    this.segment.i32[at + ROOT] = parent === 0 ? anonVma : this.root(parent);
    if (parent !== 0) this.segment.i32[parent * STRIDE + CHILDREN]!++;
    else this.segment.i32[at + RB_ROOT] = this.mappings.create();
    return anonVma;
  }

  parent(anonVma: number): number {
    return this.segment.i32[anonVma * STRIDE + PARENT]!;
  }

  root(anonVma: number): number {
    return this.segment.i32[anonVma * STRIDE + ROOT]!;
  }

  /** The VMAs whose anon_vma belongs to the same root. */
  rbRoot(anonVma: number): number {
    return this.segment.i32[this.root(anonVma) * STRIDE + RB_ROOT]!;
  }

  /** True when `descendant` is `anonVma` or lies below it. */
  covers(anonVma: number, descendant: number): boolean {
    for (let at = descendant; at !== 0; at = this.parent(at)) if (at === anonVma) return true;
    return false;
  }

  /** num_active_vmas: VMAs whose own anon_vma this is. */
  activeVmas(anonVma: number): number {
    return this.segment.i32[anonVma * STRIDE + ACTIVE_VMAS]!;
  }

  addActiveVmas(anonVma: number, by: number): void {
    this.segment.i32[anonVma * STRIDE + ACTIVE_VMAS]! += by;
  }

  children(anonVma: number): number {
    return this.segment.i32[anonVma * STRIDE + CHILDREN]!;
  }

  /** Frees an anon_vma without VMAs and children, and then its parent if that is left in the same state. */
  releaseIfUnused(anonVma: number): void {
    for (let at = anonVma; at !== 0 && this.activeVmas(at) === 0 && this.children(at) === 0;) {
      const parent = this.parent(at);
      if (parent === 0) this.mappings.destroy(this.rbRoot(at));
      this.segment.free(at);
      if (parent !== 0) this.segment.i32[parent * STRIDE + CHILDREN]!--;
      at = parent;
    }
  }

  /** The rwsem of the tree's root, which all its anon_vmas share. */
  lock(anonVma: number): Lock {
    return this.lockOfRoot(this.root(anonVma));
  }

  /** The rwsem of a tree, by the number of its root. */
  lockOfRoot(root: number): Lock {
    return (this.#locks[root] ??= lockAt(ANON_VMA_CLASS, this.segment, root * STRIDE + LOCK, `anon_vma ${root}`));
  }
}
