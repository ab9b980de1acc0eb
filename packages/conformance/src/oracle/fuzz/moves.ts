import type { Draft } from "./draft.js";

/** Adds an op, or a few that belong together, to a script. */
export type Move = (draft: Draft) => void;

const MAP_FLAGS = ["norepl", "hint", "populate", "locked", "noreserve", "growsdown", "stack"] as const;
const MAP_HUGETLB_PRIVATE = 0x4_0022;
const MAP_FIXED_ANON = 0x32;

/** Advice that changes pages. */
const ON_PAGES = [
  ...["dontneed", "dontneed", "dontneed", "free", "free", "cold", "pageout", "populate_read", "populate_write"],
  ...["guard_install", "guard_remove", "willneed", "remove", "dontneed_locked", "collapse"],
] as const;
/** Advice that changes VMAs. */
const ON_VMAS = [
  ...["dontfork", "dofork", "wipeonfork", "keeponfork", "dontdump", "dodump", "random", "sequential", "normal"],
  ...["hugepage", "nohugepage", "mergeable", "unmergeable", "bogus"],
] as const;

const map: Move = (draft) => {
  const { random, places, mappings } = draft;
  const range = places.fresh();
  const back = random.oneOf(mappings.backings);
  const anon = back === "anon" || back === "huge";
  const shared = random.percent(anon ? 12 : mappings.shared) ? "s" : "p";
  const offset = anon
    ? []
    : [back === "hmem" ? 512 * random.below(3) : random.oneOf([0, range[0], range[0], random.below(48)])];
  const flags = random.percent(20) ? [random.oneOf(MAP_FLAGS)] : [];
  draft.add("map", range, random.oneOf(mappings.prots), shared, back, ...offset, ...flags);
  places.mapped(range);
  if (mappings.hugepage && anon) draft.add("advise", range, "hugepage");
};

const remap: Move = (draft) => {
  const { random, places } = draft;
  const [start, pages] = places.range();
  const length = Math.max(1, pages + random.oneOf([0, 0, 0, 0, 1, 2, 4, -1, -2]));
  const to = random.percent(80) ? random.below(places.arena) : places.page();
  const how = random.weighted([
    [1, ""],
    [1, "maymove"],
    [5, `fixed ${to}`],
    [1, `fixedonly ${to}`],
    [1, `dontunmap ${to}`],
    [1, "dontunmap"],
  ]);
  const words = [start, pages, how.startsWith("dontunmap") ? pages : length];
  draft.add("remap", ...words, ...(how === "" ? [] : [how]));
};

const file: Move = (draft) => {
  const { random, places } = draft;
  const name = draft.file();
  if (name === undefined) return;
  const [start, pages] = places.range();
  const page = name === "hmem" ? 512 * random.below(4) : random.below(Math.min(places.pages, 64));
  const few = name === "hmem" ? 512 * random.between(1, 2) : random.few(16);
  random.weighted<() => void>([
    [
      2,
      () =>
        draft.add("ftrunc", name, name === "hmem" ? 512 * random.below(9) : random.oneOf([0, 4, 8, 16, 30, 64, 64])),
    ],
    [3, () => draft.add("fpunch", name, page, few)],
    [1, () => draft.add("fzero", name, page, few)],
    [1, () => draft.add("fcollapse", name, page, few)],
    [2, () => draft.add("fwrite", name, page)],
    [1, () => draft.add("fread", name, page)],
    [3, () => draft.add("fsync", name)],
    [2, () => draft.add("fdrop", name)],
    [4, () => draft.add("msync", start, pages, random.oneOf(["sync", "sync", "async", "inval"]))],
  ])();
};

const uffd: Move = (draft) => {
  const { random, places } = draft;
  const range = places.range();
  random.weighted<() => void>([
    [6, () => draft.add("uffdwp", range, "on")],
    [4, () => draft.add("uffdwp", range, "off")],
    [2, () => draft.add("uffdreg", range, random.oneOf(["wp", "wp", "missing", "missing,wp", "minor", "wp,minor"]))],
    [1, () => draft.add("uffdunreg", range)],
    [1, () => draft.add("uffdzero", range)],
    [2, () => draft.add("uffdcopy", places.page(), ...(random.percent(40) ? ["wp"] : []))],
    [1, () => draft.add("uffdmove", places.page(), places.page(), random.few(4))],
    [2, () => draft.add("pscan", range)],
  ])();
};

const raw: Move = (draft) => {
  const { random, places } = draft;
  const [start, pages] = places.range();
  const at = start * 4096 + random.oneOf([0, 0, 1, 2048, 4095]);
  const length = Math.max(0, pages * 4096 + random.oneOf([0, 1, -1, -4096, 2048]));
  random.weighted<() => void>([
    [2, () => draft.add("protectx", at, length, random.oneOf(draft.mappings.prots))],
    [2, () => draft.add("unmapx", at, length)],
    [2, () => draft.add("advisex", at, length, random.oneOf(ON_PAGES))],
    [
      2,
      () =>
        draft.add(
          "mapx",
          at,
          length,
          "rw-",
          random.oneOf([MAP_FIXED_ANON, MAP_FIXED_ANON | 1, 0x10, 0x30, MAP_HUGETLB_PRIVATE]),
          "none",
          0,
        ),
    ],
    [1, () => draft.add("rfp", start, pages, random.below(16))],
    [1, () => draft.add("protect", start, 0, "r--")],
  ])();
};

const pin: Move = (draft) => {
  if (draft.pinned) draft.add("unpin");
  else draft.add("pin", draft.places.page(), draft.random.few(4));
  draft.pinned = !draft.pinned;
};

/** An op of a child, if one lives. */
function ofChild(words: (draft: Draft) => readonly (string | number)[]): Move {
  return (draft) => {
    const child = draft.child();
    if (child === undefined) return;
    const [op, ...rest] = words(draft);
    draft.add(op!, child, ...rest);
  };
}

const onRange =
  (op: string, ...more: readonly (readonly (string | number)[])[]): Move =>
  (draft) =>
    draft.add(op, draft.places.range(), ...more.map((choices) => draft.random.oneOf(choices)));

/** Every move by name; profiles say how often each is made. */
export const MOVES = {
  map,
  remap,
  file,
  uffd,
  raw,
  pin,
  unmap: onRange("unmap"),
  protect: (draft: Draft) => draft.add("protect", draft.places.range(), draft.random.oneOf(draft.mappings.prots)),
  read: (draft: Draft) => draft.add("read", draft.places.page()),
  write: (draft: Draft) => draft.add("write", draft.places.page()),
  readr: (draft: Draft) => draft.add("readr", draft.places.page(), draft.random.few(12)),
  writer: (draft: Draft) => draft.add("writer", draft.places.page(), draft.random.few(12)),
  pages: onRange("advise", ON_PAGES),
  vmas: onRange("advise", ON_VMAS),
  swap: onRange("advise", ["pageout", "pageout", "pageout", "cold", "free", "willneed"]),
  padvise: (draft: Draft) =>
    draft.add("padvise", draft.random.oneOf(ON_PAGES), draft.places.range(), draft.places.range()),
  fork: (draft: Draft) => draft.fork(),
  reap: (draft: Draft) => {
    const child = draft.lastBreath();
    if (child !== undefined) draft.add(draft.random.percent(10) ? "mrelease" : "reap", child);
  },
  cexec: ofChild(() => ["cexec"]),
  cread: ofChild(({ places }) => ["cread", places.page()]),
  cwrite: ofChild(({ places }) => ["cwrite", places.page()]),
  cother: ofChild(({ random, places }) =>
    random.weighted<readonly (string | number)[]>([
      [3, ["cunmap", ...places.range()]],
      [2, ["cprotect", ...places.range(), random.oneOf(["r--", "rw-", "---"])]],
      [2, ["cadvise", ...places.range(), random.oneOf(ON_PAGES)]],
    ]),
  ),
  kio: (draft: Draft) =>
    draft.add(draft.random.oneOf(["kread", "kwrite", "pmread", "pmwrite", "pvread", "pvwrite"]), draft.places.page()),
  lock: (draft: Draft) =>
    draft.add(draft.random.oneOf(["mlock", "mlock2", "munlock", "munlock"]), draft.places.range()),
  seal: onRange("mseal"),
  mincore: onRange("mincore"),
  mbind: onRange("mbind", ["default", "default", "bind"]),
  movepages: (draft: Draft) => draft.add("movepages", draft.places.page()),
  clearrefs: (draft: Draft) => draft.add("clearrefs", draft.random.between(1, 5)),
  vm: (draft: Draft) => {
    draft.add(draft.vm ? "closevm" : "kvmopen");
    draft.vm = !draft.vm;
  },
} as const satisfies Readonly<Record<string, Move>>;

export type MoveName = keyof typeof MOVES;
