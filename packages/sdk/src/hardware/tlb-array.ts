import type { DeviceMemory, Words } from "../device-memory.js";
import type { SecondaryEntry } from "../binding.js";
import { SdkError } from "../errors.js";
import { LEAF_READ, LEAF_WRITE, leafLevel, leafPfn, leafRights, packLeaf } from "./translation-result.js";

/** Size of a set-associative cache. */
export interface TlbShape {
  /** A power of two. */
  readonly sets: number;
  readonly ways: number;
  /**
   * What an entry for a block holds: all of it, or the base page that was asked for.
   *
   * @defaultValue 'whole'
   */
  readonly blocks?: "whole" | "splintered";
}

const FLAGS = 0; // rights + 1 << 8; 0 is an empty way
const ASID = 1;
const VPN = 2; // a double: words 2 and 3
const PFN = 4;
const SPAN_LEVEL = 5; // span * 8 + level
const ENTRY = 6;
const VALID = 1 << 8;
/** Leaves exist at the pte, pmd and pud levels. */
const LEAF_LEVELS = 3;

/**
 * The ways of a translation cache as words of the machine's memory. A way that is empty is taken first, then the ways of a set
 * in turn. Slot numbers start at 1; 0 is none. Methods are for steps.
 */
export class TlbArray {
  readonly #words: Words;
  readonly #sets: number;
  readonly #ways: number;
  /** Base pages that an entry of each level maps, levels that have leaves only. */
  readonly #spans: readonly number[];
  /** Word index of the first set's turn counter. */
  readonly #turns: number;

  /**
   * @param spans base pages that a leaf of each level maps
   * @throws SdkError SDK_HARDWARE_CONFIG
   */
  constructor(
    memory: DeviceMemory,
    spans: readonly number[],
    name: string,
    { sets, ways, blocks = "whole" }: TlbShape,
  ) {
    if (!Number.isInteger(sets) || sets < 1 || (sets & (sets - 1)) !== 0 || !Number.isInteger(ways) || ways < 1) {
      throw new SdkError(
        "SDK_HARDWARE_CONFIG",
        `${name}: ${sets} sets of ${ways} ways. Sets are a power of two, ways at least 1`,
        { sets, ways },
      );
    }
    this.#sets = sets;
    this.#ways = ways;
    this.#spans = blocks === "whole" ? spans.slice(0, LEAF_LEVELS) : spans.slice(0, 1);
    this.#turns = sets * ways * ENTRY;
    this.#words = memory.words(name, this.#turns + sets);
  }

  /** The slot that translates `vpn`, or 0. */
  find(asid: number, vpn: number): number {
    const { i32, f64 } = this.#words.segment;
    const { base } = this.#words;
    for (let level = 0; level < this.#spans.length; level++) {
      const span = this.#spans[level]!;
      const first = this.#set(vpn, span) * this.#ways;
      for (let slot = first; slot < first + this.#ways; slot++) {
        const at = base + slot * ENTRY;
        if (i32[at] === 0 || i32[at + ASID] !== asid) continue;
        const from = f64[(at + VPN) >> 1]!;
        if (vpn >= from && vpn < from + (i32[at + SPAN_LEVEL]! >> 3)) return slot + 1;
      }
    }
    return 0;
  }

  /** The leaf in `slot` for page `vpn`; 0 for slot 0. */
  leaf(slot: number, vpn: number): number {
    if (slot === 0) return 0;
    const { i32, f64 } = this.#words.segment;
    const at = this.#words.base + (slot - 1) * ENTRY;
    return packLeaf(i32[at + PFN]! + (vpn - f64[(at + VPN) >> 1]!), i32[at + SPAN_LEVEL]! & 7, i32[at + FLAGS]! & 3);
  }

  /** Puts a leaf in for page `vpn`, in place of an entry for the same page if there is one; returns the slot. */
  insert(asid: number, vpn: number, leaf: number): number {
    const level = leafLevel(leaf);
    const span = this.#spans[level] ?? 1;
    const offset = vpn % span;
    const old = this.find(asid, vpn);
    if (old !== 0) this.drop(old);
    const slot = this.#victim(this.#set(vpn, span));
    const words = this.#words;
    const at = (slot - 1) * ENTRY;
    words.set(at + FLAGS, VALID | leafRights(leaf));
    words.set(at + ASID, asid);
    words.setDouble(at + VPN, vpn - offset);
    words.set(at + PFN, leafPfn(leaf) - offset);
    words.set(at + SPAN_LEVEL, span * 8 + level);
    return slot;
  }

  /** Empties one slot. */
  drop(slot: number): void {
    for (let word = 0; word < ENTRY; word++) this.#words.set((slot - 1) * ENTRY + word, 0);
  }

  /** Empties every slot of `asid` (-1: of all) that overlaps pages [start, end); tells each to `dropped` first. */
  invalidate(
    asid: number,
    start: number,
    end: number,
    dropped: (vpn: number, leaf: number, asid: number) => void,
  ): number {
    let count = 0;
    for (let slot = 1; slot <= this.#sets * this.#ways; slot++) {
      const at = (slot - 1) * ENTRY;
      if (this.#words.get(at + FLAGS) === 0 || (asid !== -1 && this.#words.get(at + ASID) !== asid)) continue;
      const vpn = this.#words.double(at + VPN);
      if (vpn >= end || vpn + (this.#words.get(at + SPAN_LEVEL) >> 3) <= start) continue;
      const leaf = this.leaf(slot, vpn);
      const of = this.#words.get(at + ASID);
      this.drop(slot);
      dropped(vpn, leaf, of);
      count++;
    }
    return count;
  }

  /** What a slot holds. */
  entry(slot: number, where: SecondaryEntry["where"] = "iotlb"): SecondaryEntry {
    const at = (slot - 1) * ENTRY;
    const rights = this.#words.get(at + FLAGS);
    return {
      where,
      vpn: this.#words.double(at + VPN),
      pages: this.#words.get(at + SPAN_LEVEL) >> 3,
      pfn: this.#words.get(at + PFN),
      read: (rights & LEAF_READ) !== 0,
      write: (rights & LEAF_WRITE) !== 0,
    };
  }

  /** What the slots of `asid` hold. */
  entries(asid: number, where: SecondaryEntry["where"]): SecondaryEntry[] {
    const found: SecondaryEntry[] = [];
    for (let slot = 1; slot <= this.#sets * this.#ways; slot++) {
      const at = (slot - 1) * ENTRY;
      if (this.#words.get(at + FLAGS) !== 0 && this.#words.get(at + ASID) === asid) found.push(this.entry(slot, where));
    }
    return found;
  }

  #set(vpn: number, span: number): number {
    return (span === 1 ? vpn : Math.floor(vpn / span)) % this.#sets;
  }

  #victim(set: number): number {
    const first = set * this.#ways;
    for (let way = 0; way < this.#ways; way++)
      if (this.#words.get((first + way) * ENTRY + FLAGS) === 0) return first + way + 1;
    const turn = this.#words.get(this.#turns + set);
    this.#words.set(this.#turns + set, (turn + 1) % this.#ways);
    return first + turn + 1;
  }
}
