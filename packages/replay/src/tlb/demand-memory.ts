import { MAPPED, type TlbBackend, WRITABLE } from "./tlb-replay.js";

/** Entries of one node of the tree. */
const NODE = 1024;

/**
 * Page tables without a kernel: a page is mapped by its first access, writable if that was a write, and becomes writable
 * with its first later write. What the C anchors do, and a TLB's behaviour on its own.
 *
 * @public
 */
export class DemandMemory implements TlbBackend {
  #nodes = new Int32Array(NODE * 64);
  readonly #roots = new Int32Array(2048);
  #used = 1;
  #pages = 0;

  /** Pages mapped so far. */
  get pages(): number {
    return this.#pages;
  }

  walk(tag: number): number {
    const root = this.#roots[tag >>> 20]!;
    if (root === 0) return 0;
    const leaf = this.#nodes[root * NODE + ((tag >>> 10) & (NODE - 1))]!;
    return leaf === 0 ? 0 : this.#nodes[leaf * NODE + (tag & (NODE - 1))]! & (MAPPED | WRITABLE);
  }

  fault(tag: number, write: boolean): number {
    const root = (this.#roots[tag >>> 20] ||= this.#allocate());
    const middle = root * NODE + ((tag >>> 10) & (NODE - 1));
    let leaf = this.#nodes[middle]!;
    if (leaf === 0) {
      leaf = this.#allocate();
      this.#nodes[middle] = leaf;
    }
    const at = leaf * NODE + (tag & (NODE - 1));
    let entry = this.#nodes[at]!;
    if (entry === 0) entry = (++this.#pages << 2) | MAPPED;
    if (write) entry |= WRITABLE;
    this.#nodes[at] = entry;
    return entry & (MAPPED | WRITABLE);
  }

  #allocate(): number {
    if ((this.#used + 1) * NODE > this.#nodes.length) {
      const grown = new Int32Array(this.#nodes.length * 2);
      grown.set(this.#nodes);
      this.#nodes = grown;
    }
    return this.#used++;
  }
}
