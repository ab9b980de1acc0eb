import {
  F_PERMISSION,
  type HitPolicy,
  leafAllows,
  leafLevel,
  leafPfn,
  leafRights,
  packLeaf,
  TRANSLATION_KILLED,
} from "../src/index.js";

interface Entry {
  readonly asid: number;
  readonly vpn: number;
  readonly pages: number;
  /** Of the first page. */
  readonly pfn: number;
  readonly level: number;
  readonly rights: number;
}

/** Pages [start, end) of an address space; -1 stands for all of them. */
export interface Invalidation {
  readonly asid: number;
  readonly start: number;
  readonly end: number;
}

export interface Access {
  readonly asid: number;
  readonly vpn: number;
  readonly write: boolean;
  /** A translation request, which uses nothing in this cache. */
  readonly ats: boolean;
}

interface User extends Access {
  draining: boolean;
}

export interface ReferenceShape {
  readonly kind: "iotlb" | "atc";
  readonly sets: number;
  readonly ways: number;
  readonly policy: HitPolicy;
  /** Base pages of a leaf of each level. */
  readonly spans: readonly number[];
  /** What the table says now of a page: 0 is nothing. */
  readonly table: (asid: number, vpn: number) => number;
}

/** A translation cache as lists of entries: what the words of an IOTLB or an ATC are held to. */
export class ReferenceCache {
  readonly events: string[] = [];
  readonly costs = new Map<string, number>();
  readonly users: User[] = [];
  readonly #shape: ReferenceShape;
  readonly #sets: (Entry | undefined)[][];
  readonly #turns: number[];
  readonly #droppedInVain = new Set<string>();

  constructor(shape: ReferenceShape) {
    this.#shape = shape;
    this.#sets = Array.from({ length: shape.sets }, () => Array.from({ length: shape.ways }, () => undefined));
    this.#turns = Array.from({ length: shape.sets }, () => 0);
  }

  entries(asid: number): readonly string[] {
    return this.#sets.flat().flatMap((entry) => (entry?.asid === asid ? [entryText(entry)] : []));
  }

  get drained(): boolean {
    return this.users.every(({ draining }) => !draining);
  }

  /**
   * One access to its end, or to the use of what it found.
   *
   * @param overtakes what is invalidated while the access walks
   */
  access(access: Access, overtakes: readonly Invalidation[]): number {
    const { kind, policy, spans, table } = this.#shape;
    const { asid, vpn, write, ats } = access;
    const at = this.#find(asid, vpn);
    let leaf = at === undefined ? 0 : leafOf(at.set[at.way]!, vpn);
    const refused = leaf !== 0 && !leafAllows(leaf, write);
    if (refused) {
      const drops = policy === "rewalk-on-permission-fault" || (policy === "drop-and-fault" && !ats);
      if (drops) at!.set[at!.way] = undefined;
      if (policy === "rewalk-on-permission-fault") leaf = 0;
    }
    this.#count(leaf === 0 ? "misses" : "hits");
    this.events.push(`lookup ${asid} ${vpn} ${leaf !== 0}`);
    if (leaf !== 0) {
      if (ats) return leaf;
      if (refused) return F_PERMISSION;
      this.users.push({ ...access, draining: false });
      return leaf;
    }
    if (kind === "atc") this.#count("translationRequests");
    let killed = false;
    for (const invalidation of overtakes) {
      this.invalidate(invalidation);
      // A walk that read the entry of a block, or of a table, has read it for the whole region.
      const region = vpn - (vpn % spans[1]!);
      killed ||= covers(invalidation, asid) && region < invalidation.end && region + spans[1]! > invalidation.start;
    }
    const walked = table(asid, vpn);
    if (walked === 0) return 0;
    if (killed) {
      if (kind === "iotlb") this.#count("killedWalks");
      return TRANSLATION_KILLED;
    }
    this.#insert(asid, vpn, walked);
    if (ats) return walked;
    if (!leafAllows(walked, write)) return F_PERMISSION;
    this.users.push({ ...access, draining: false });
    return walked;
  }

  /** Returns the number of entries that were dropped. */
  invalidate(invalidation: Invalidation): number {
    const { kind, table } = this.#shape;
    const { start, end } = invalidation;
    for (const user of this.users)
      if (covers(invalidation, user.asid) && user.vpn >= start && user.vpn < end) user.draining = true;
    let dropped = 0;
    for (const set of this.#sets)
      for (const [way, entry] of set.entries()) {
        if (entry === undefined || !covers(invalidation, entry.asid)) continue;
        if (entry.vpn >= end || entry.vpn + entry.pages <= start) continue;
        set[way] = undefined;
        dropped++;
        const needless = kind === "iotlb" && table(entry.asid, entry.vpn) === leafOf(entry, entry.vpn);
        this.#count("evictions");
        if (needless) {
          this.#count("needlessEvictions");
          this.#droppedInVain.add(`${entry.asid} ${entry.vpn}`);
        }
        this.events.push(`evict ${entry.asid} ${entry.vpn} ${needless}`);
      }
    return dropped;
  }

  #insert(asid: number, vpn: number, leaf: number): void {
    const { spans, sets, ways } = this.#shape;
    const old = this.#find(asid, vpn);
    if (old !== undefined) old.set[old.way] = undefined;
    const pages = spans[leafLevel(leaf)] ?? 1;
    const first = vpn - (vpn % pages);
    const number = Math.floor(vpn / pages) % sets;
    const set = this.#sets[number]!;
    let way = set.indexOf(undefined);
    if (way < 0) {
      way = this.#turns[number]!;
      this.#turns[number] = (way + 1) % ways;
    }
    const entry = {
      asid,
      vpn: first,
      pages,
      pfn: leafPfn(leaf) - (vpn - first),
      level: leafLevel(leaf),
      rights: leafRights(leaf),
    };
    set[way] = entry;
    this.#count("insertions");
    if (this.#droppedInVain.delete(`${asid} ${vpn}`)) this.#count("refills");
    this.events.push(`insert ${asid} ${entryText(entry)}`);
  }

  #find(asid: number, vpn: number): { readonly set: (Entry | undefined)[]; readonly way: number } | undefined {
    const { spans, sets } = this.#shape;
    for (const span of spans) {
      const set = this.#sets[Math.floor(vpn / span) % sets]!;
      const way = set.findIndex((entry) => entry?.asid === asid && vpn >= entry.vpn && vpn < entry.vpn + entry.pages);
      if (way >= 0) return { set, way };
    }
    return undefined;
  }

  #count(counter: string): void {
    this.costs.set(counter, (this.costs.get(counter) ?? 0) + 1);
  }
}

function covers({ asid }: Invalidation, of: number): boolean {
  return asid === -1 || asid === of;
}

function leafOf({ vpn: first, pfn, level, rights }: Entry, vpn: number): number {
  return packLeaf(pfn + vpn - first, level, rights);
}

function entryText({ vpn, pages, pfn, rights }: Entry): string {
  return `${vpn}+${pages} -> ${pfn} ${rights >= 2 ? "w" : "r"}`;
}
