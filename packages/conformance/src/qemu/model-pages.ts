import {
  type Kernel,
  PTE_CONT,
  PTE_PROTNONE,
  PTE_SOFT_DIRTY,
  PTE_VALID,
  ptePresent,
  pteProtnone,
  pteSpecial,
  pteUffdWp,
  pteWrite,
  pteYoung,
  since,
  VM_HUGETLB,
  VM_SOFTDIRTY,
} from "@mmu-notifier/core";
import { ARENA_PAGE, PageView } from "@mmu-notifier/script";
import { FrameNumbers } from "../identity.js";
import {
  CONT,
  DIRTY,
  EXCLUSIVE,
  HW_WRITE,
  LEVEL_SHIFT,
  LISTED,
  MAY_WRITE,
  PageFacts,
  PRESENT,
  PROT_NONE,
  SOFT_DIRTY,
  SPECIAL,
  SWAPPED,
  UFFD_WP,
  YOUNG,
  ZERO_PAGE,
} from "./page-facts.js";

/** A snapshot of the model's pages, with frames as the model numbers them. */
export class ModelFacts extends PageFacts {
  readonly pfns: Int32Array;

  constructor(arena: number) {
    super(arena);
    this.pfns = new Int32Array(arena);
  }

  override clear(): void {
    super.clear();
    this.pfns.fill(0);
  }
}

/** Takes snapshots of a model's arena in the terms of the records. */
export class ModelPages {
  readonly #k: Kernel;
  readonly #mm: number;
  readonly #arena: number;
  readonly #view: PageView;
  readonly #numbers = new FrameNumbers();
  #now: ModelFacts;
  #before: ModelFacts;
  /** x86 since v6.6 keeps the dirty state of read-only entries in a bit of its own: dirty and not writable is a shadow stack. */
  readonly #savesDirty: boolean;

  constructor(k: Kernel, mm: number, arena: number) {
    this.#k = k;
    this.#mm = mm;
    this.#arena = arena;
    this.#savesDirty = k.arch.writeEncoding === "direct" && since(k.profile, 6, 6);
    this.#view = new PageView(k, mm, ARENA_PAGE, arena);
    this.#now = new ModelFacts(arena);
    this.#before = new ModelFacts(arena);
  }

  /** The facts of the pages now. They are good until the snapshot after the next is taken. */
  take(): ModelFacts {
    const facts = this.#before;
    this.#before = this.#now;
    this.#now = facts;
    facts.clear();
    const { mms, vmas } = this.#k;
    this.#numbers.begin();
    if (!mms.isLive(this.#mm)) return facts;
    this.#view.refresh();
    const list = mms.vmaList(this.#mm);
    const arenaEnd = ARENA_PAGE + this.#arena;
    for (let index = vmas.indexAbove(list, ARENA_PAGE); ; index++) {
      const vma = vmas.at(list, index);
      if (vma === 0 || vmas.start(vma) >= arenaEnd) return facts;
      const first = Math.max(0, vmas.start(vma) - ARENA_PAGE);
      const end = Math.min(this.#arena, vmas.end(vma) - ARENA_PAGE);
      const flags = this.#k.arch.softDirty ? vmas.flags(vma) : 0;
      // pagemap shows soft-dirty bits of entries, but not of hugetlb entries.
      const softDirtyBit = (flags & VM_HUGETLB) === 0 && this.#k.arch.softDirty ? PTE_SOFT_DIRTY : 0;
      const softDirty = (flags & VM_SOFTDIRTY) === 0 ? 0 : SOFT_DIRTY;
      for (let page = first; page < end; page++) this.#page(facts, page, softDirty, softDirtyBit);
    }
  }

  #page(facts: ModelFacts, page: number, ofVma: number, softDirtyBit: number): void {
    const { pte: ops, pages } = this.#k;
    const pte = this.#view.pte[page]!;
    let bits = LISTED | ((this.#view.level[page]! + 1) << LEVEL_SHIFT) | ofVma;
    if ((pte & softDirtyBit) !== 0) bits |= SOFT_DIRTY;
    if (!ptePresent(pte)) {
      facts.bits[page] = pte === 0 ? bits : bits | SWAPPED;
      return;
    }
    const pfn = this.#view.pfn[page]!;
    bits |= PRESENT;
    if (ops.hwWritable(pte, false) || ((pte & (PTE_VALID | PTE_PROTNONE)) === PTE_PROTNONE && pteWrite(pte)))
      bits |= HW_WRITE;
    if (pteWrite(pte)) bits |= MAY_WRITE;
    if (ops.dirty(pte) && !(this.#savesDirty && !pteWrite(pte))) bits |= DIRTY;
    if (pteYoung(pte)) bits |= YOUNG;
    if (pteSpecial(pte)) bits |= SPECIAL;
    if (pteUffdWp(pte)) bits |= UFFD_WP;
    if (pteProtnone(pte)) bits |= PROT_NONE;
    if ((pte & PTE_CONT) !== 0) bits |= CONT;
    const hugeZero = pages.private(pages.zeroPfn);
    if (pfn === pages.zeroPfn || (hugeZero !== 0 && pages.head(pfn) === hugeZero)) {
      bits |= ZERO_PAGE;
      facts.mapCounts[page] = 0;
    } else {
      const mapCount = pages.totalMapcount(pfn);
      facts.mapCounts[page] = mapCount;
      if (mapCount === 1) bits |= EXCLUSIVE;
      facts.frames[page] = this.#numbers.of(pfn);
    }
    facts.pfns[page] = pfn;
    facts.bits[page] = bits;
  }
}
