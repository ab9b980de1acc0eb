import type { Mappings } from "./draft.js";
import type { MoveName } from "./moves.js";

/** What scripts of one kind do, and how often. */
export interface Profile {
  readonly name: string;
  readonly places: "small" | "huge";
  readonly mappings: Mappings;
  /** The whole arena is mapped first, with this backing. */
  readonly whole?: string;
  readonly uffd?: true;
  readonly moves: Readonly<Partial<Record<MoveName, number>>>;
}

const PROTS = [..."rw- rw- rw- rw- rw- rw- r-- r-- r-- --- r-x rwx -w-".split(" ")];
const ANON_MOSTLY: Mappings = {
  backings: ["anon", "anon", "anon", "anon", "anon", "anon", "mem", "mem"],
  shared: 55,
  prots: PROTS,
  hugepage: false,
};
const FILES: Mappings = {
  backings: ["anon", "anon", "mem", "mem", "mem", "file", "file", "file", "memro", "filero"],
  shared: 60,
  prots: PROTS,
  hugepage: false,
};
const PLAIN: Mappings = { ...ANON_MOSTLY, prots: ["rw-"] };

const base = { map: 4, unmap: 1, protect: 4, write: 16, read: 6, writer: 3, readr: 1 } as const;
const small = (name: string, mappings: Mappings, moves: Profile["moves"]): Profile => ({
  name,
  places: "small",
  mappings,
  moves: { ...base, ...moves },
});

const hugeMoves = {
  ...{ write: 22, read: 8, protect: 14, fork: 6, reap: 5, cwrite: 5, cread: 2, pages: 14, vmas: 3, unmap: 2, remap: 4 },
  ...{ kio: 3, map: 2, file: 3, lock: 1, writer: 2, mbind: 1, swap: 1, padvise: 1, cother: 1, mincore: 1 },
} as const;
const huge = (name: string, whole: string, shared: number, more: Partial<Profile> = {}): Profile => ({
  name,
  places: "huge",
  whole,
  mappings: {
    backings: [whole === "hmem" ? "hmem" : whole],
    shared,
    prots: ["rw-", "rw-", "r--", "r--", "---"],
    hugepage: whole === "anon",
  },
  ...more,
  moves: { ...hugeMoves, ...more.moves },
});

/** The kinds of scripts, in the order in which they take turns. */
export const PROFILES: readonly Profile[] = [
  small("mix", ANON_MOSTLY, {
    ...{ map: 8, unmap: 4, protect: 8, read: 8, fork: 4, reap: 4, cwrite: 3, cread: 1, pages: 6, vmas: 3, remap: 4 },
    ...{ kio: 3, file: 2, lock: 1, padvise: 1, mincore: 1, clearrefs: 1 },
  }),
  small("fork", ANON_MOSTLY, {
    ...{ write: 20, fork: 10, reap: 9, cwrite: 10, cread: 2, cother: 3, cexec: 1, pages: 3, kio: 3, pin: 2 },
  }),
  small("prot", ANON_MOSTLY, { protect: 25, fork: 2, reap: 2, pages: 2, kio: 2 }),
  small("remap", ANON_MOSTLY, { map: 8, unmap: 3, remap: 18, fork: 2, reap: 2, pages: 2, vmas: 1 }),
  small("advise", ANON_MOSTLY, { pages: 16, vmas: 8, padvise: 2, fork: 2, reap: 2, kio: 1, lock: 2, mincore: 2 }),
  small("file", FILES, {
    map: 10,
    unmap: 3,
    fork: 3,
    reap: 3,
    cwrite: 2,
    pages: 4,
    file: 14,
    kio: 2,
    remap: 2,
    mincore: 1,
  }),
  { ...small("uffd", PLAIN, { uffd: 20, fork: 2, reap: 2, pages: 4, remap: 2, kio: 1 }), uffd: true },
  small("vma", ANON_MOSTLY, {
    ...{ map: 16, unmap: 10, protect: 14, write: 4, remap: 5, vmas: 8, pages: 3, lock: 5, seal: 1, read: 1, raw: 4 },
  }),
  small("swap", ANON_MOSTLY, { write: 12, fork: 4, reap: 4, cread: 2, cwrite: 2, swap: 12, pages: 2, kio: 1 }),
  huge("thp", "anon", 0),
  small("mig", ANON_MOSTLY, { mbind: 10, movepages: 4, fork: 4, reap: 4, pages: 2, kio: 2, pin: 2 }),
  small("pin", FILES, { pin: 10, fork: 6, reap: 6, cwrite: 5, pages: 3, kio: 4, mbind: 2, swap: 2 }),
  huge("hug", "huge", 30),
  { ...small("ufork", PLAIN, { uffd: 14, fork: 7, reap: 7, cwrite: 4, swap: 3, kio: 3 }), uffd: true },
  small("swfork", ANON_MOSTLY, { fork: 7, reap: 7, cread: 3, cwrite: 5, swap: 12, remap: 2, kio: 2 }),
  huge("hmem", "hmem", 60),
  small("raw", FILES, { raw: 14, file: 3, fork: 2, reap: 2, clearrefs: 1, vm: 1 }),
  huge("shm", "mem", 60),
  { ...small("ufile", { ...FILES, prots: ["rw-"] }, { uffd: 14, file: 6, fork: 2, reap: 2, pages: 3 }), uffd: true },
  huge("thpuffd", "anon", 0, { uffd: true, moves: { uffd: 16 } }),
  huge("thpswap", "anon", 0, { moves: { swap: 12 } }),
];
