import { call, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { VM_MAYBE_GUARD, VM_SOFTDIRTY, VM_SPECIAL } from "../vma.js";
import { splitHugePmdIfNeeded } from "./adjust-trans-huge.js";
import { anonVmaTreeUpdate, dupAnonVma, hasUncowedParents, unlinkAnonVmas } from "./anon-vma-links.js";
import { fileTreeUpdate, unlinkFileVma } from "./file-links.js";
import { dropRmapLocks, takeRmapLocks } from "./rmap-locks.js";
import { vmaStartWrite } from "./vma-lock.js";
import { filePut } from "../files/file-put.js";

/** What a VMA over pages [start, end) would be; -1 for what stays as it is in the VMA that is changed. */
export interface VmaShape {
  readonly flags: number;
  readonly policy: number;
  readonly uffd: number;
  readonly anonName: number;
}

/** A wish to have [start, end) of one shape, and what lies around it. Part of step bodies. */
interface MergeRequest extends VmaShape {
  readonly start: number;
  readonly end: number;
  readonly pgoff: number;
  readonly file: number;
  /** anon_vma of the pages in the range, 0 for none. */
  readonly anonVma: number;
  /** The VMA whose range is changed, or 0 for a new mapping. */
  readonly middle: number;
  /** The VMA that copy_vma() copies, or 0. */
  readonly copiedFrom: number;
}

const NONE = 0;
const LEFT = 1;
const RIGHT = 2;
const BOTH = 3;

/** VM_STICKY: flags that may differ, and that the merged VMA has if one part had. */
export const STICKY = VM_SOFTDIRTY | VM_MAYBE_GUARD;

/** is_mergeable_vma(). */
function sameShape(k: Kernel, vma: number, request: MergeRequest): boolean {
  const { vmas } = k;
  return (
    vmas.policy(vma) === request.policy &&
    ((vmas.flags(vma) ^ request.flags) & ~STICKY) === 0 &&
    vmas.file(vma) === request.file &&
    vmas.uffd(vma) === request.uffd &&
    vmas.anonName(vma) === request.anonName
  );
}

/**
 * is_mergeable_anon_vma(): the neighbour `target` may take the range in. A VMA that was cloned from a parent's does not share
 * its anon_vma. Up to v6.15 a neighbour without an anon_vma takes no pages that have one.
 */
function anonVmaFits(k: Kernel, target: number, request: MergeRequest): boolean {
  const own = k.vmas.anonVma(target);
  if (own === request.anonVma) return true;
  if (own !== 0 && request.anonVma !== 0) return false;
  if (own !== 0) return !hasUncowedParents(k, target);
  if (!since(k.profile, 6, 16)) return false;
  const { middle, copiedFrom } = request;
  return !(middle !== 0 && hasUncowedParents(k, middle)) && !(copiedFrom !== 0 && hasUncowedParents(k, copiedFrom));
}

/** can_vma_merge_left(). */
function fitsLeft(k: Kernel, prev: number, request: MergeRequest): boolean {
  const { vmas } = k;
  return (
    prev !== 0 &&
    vmas.end(prev) === request.start &&
    sameShape(k, prev, request) &&
    anonVmaFits(k, prev, request) &&
    vmas.pgoff(prev) + (vmas.end(prev) - vmas.start(prev)) === request.pgoff
  );
}

/** can_vma_merge_right(), without the look at the other side. */
function fitsRight(k: Kernel, next: number, request: MergeRequest): boolean {
  const { vmas } = k;
  return (
    next !== 0 &&
    vmas.start(next) === request.end &&
    sameShape(k, next, request) &&
    anonVmaFits(k, next, request) &&
    vmas.pgoff(next) === request.pgoff + (request.end - request.start)
  );
}

/** are_anon_vmas_compatible(): both neighbours may become one. */
function compatible(k: Kernel, prev: number, next: number): boolean {
  const left = k.vmas.anonVma(prev);
  const right = k.vmas.anonVma(next);
  return left === 0 || right === 0 || left === right;
}

function sides(k: Kernel, prev: number, next: number, request: MergeRequest): number {
  if ((request.flags & VM_SPECIAL) !== 0) return NONE;
  const left = fitsLeft(k, prev, request);
  const right = fitsRight(k, next, request) && (!left || compatible(k, prev, next));
  return (left ? LEFT : NONE) | (right ? RIGHT : NONE);
}

/** The neighbours of [start, end) in `mm`; inside a step. */
function prevOf(k: Kernel, mm: number, start: number): number {
  const list = k.mms.vmaList(mm);
  const index = k.vmas.indexAbove(list, start - 1);
  const vma = k.vmas.at(list, index);
  if (vma !== 0 && k.vmas.start(vma) < start) return vma;
  return index === 0 ? 0 : k.vmas.at(list, index - 1);
}

function nextOf(k: Kernel, mm: number, end: number): number {
  const list = k.mms.vmaList(mm);
  const index = k.vmas.indexAbove(list, end);
  const vma = k.vmas.at(list, index);
  return vma !== 0 && k.vmas.start(vma) < end ? k.vmas.at(list, index + 1) : vma;
}

/** What a new mapping is made of, besides its shape. */
export interface NewRange extends VmaShape {
  readonly start: number;
  readonly end: number;
  readonly pgoff: number;
  readonly file: number;
  readonly anonVma: number;
  readonly copiedFrom: number;
}

/**
 * vma_merge_new_range(): lets the neighbours of a free range grow over it instead of making a VMA. mmap_lock held for writing.
 *
 * @returns the VMA that now covers the range, or 0
 */
export function vmaMergeNewRange(k: Kernel, cpu: number, mm: number, range: NewRange): Path<number> {
  return call("vma_merge", mergeNewRange(k, cpu, mm, range));
}

function* mergeNewRange(k: Kernel, cpu: number, mm: number, range: NewRange): Path<number> {
  const { flags, policy, uffd, anonName, start: from, end: to, pgoff, file, anonVma, copiedFrom } = range;
  const request: MergeRequest = {
    flags,
    policy,
    uffd,
    anonName,
    start: from,
    end: to,
    pgoff,
    file,
    anonVma,
    middle: 0,
    copiedFrom,
  };
  const prev = yield step("vma_prev", () => prevOf(k, mm, range.start));
  const next = yield step("vma_next", () => nextOf(k, mm, range.end));
  const merge = yield step("can_vma_merge", () => sides(k, prev, next, request));
  if (merge === NONE) return 0;
  const target = (merge & LEFT) !== 0 ? prev : next;
  yield* vmaStartWrite(k, target);
  if (merge === BOTH) yield* vmaStartWrite(k, next);
  const start = merge === RIGHT ? range.start : -1;
  const end = merge === LEFT ? range.end : -1;
  yield* commit(k, cpu, target, merge === BOTH ? next : 0, 0, start, end, 0);
  if ((range.flags & STICKY) !== 0) {
    yield step("vm_flags_set(VM_STICKY)", () => {
      k.vmas.setFlags(target, k.vmas.flags(target) | (range.flags & STICKY));
      return 0;
    });
  }
  return target;
}

/** True when [start, end) of `vma` may merge with a neighbour, once it has that shape. Inside a step. */
function existingSides(k: Kernel, mm: number, vma: number, start: number, end: number, shape: VmaShape): number {
  const { vmas } = k;
  const atStart = vmas.start(vma) === start;
  const atEnd = vmas.end(vma) === end;
  const { flags, policy, uffd, anonName } = shape;
  const request: MergeRequest = {
    flags,
    policy,
    uffd,
    anonName,
    start,
    end,
    pgoff: vmas.linearIndex(vma, start),
    file: vmas.file(vma),
    anonVma: vmas.anonVma(vma),
    middle: vma,
    copiedFrom: 0,
  };
  return sides(k, atStart ? prevOf(k, mm, start) : 0, atEnd ? nextOf(k, mm, end) : 0, request);
}

/**
 * vma_merge_existing_range(): pages [start, end) of `vma`, once they have `shape`, become part of the VMA before, after, or of
 * both. mmap_lock held for writing.
 *
 * @returns the VMA that covers the range afterwards, or 0 when nothing merges
 */
export function vmaMergeExisting(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  shape: VmaShape,
): Path<number> {
  return call("vma_merge", mergeExisting(k, cpu, vma, start, end, shape));
}

function* mergeExisting(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  shape: VmaShape,
): Path<number> {
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const merge = yield step("can_vma_merge", () => existingSides(k, mm, vma, start, end, shape));
  if (merge === NONE) return 0;
  const whole = yield step(
    "vma range",
    () => (k.vmas.start(vma) === start ? LEFT : 0) | (k.vmas.end(vma) === end ? RIGHT : 0),
  );
  const prev = (merge & LEFT) === 0 ? 0 : yield step("vma_prev", () => prevOf(k, mm, start));
  const next = (merge & RIGHT) === 0 ? 0 : yield step("vma_next", () => nextOf(k, mm, end));
  const target = prev === 0 ? next : prev;
  yield* vmaStartWrite(k, vma);
  if (prev !== 0) yield* vmaStartWrite(k, prev);
  if (next !== 0) yield* vmaStartWrite(k, next);
  if (merge === BOTH) yield* commit(k, cpu, prev, vma, next, -1, -1, 0);
  else if (whole === BOTH) yield* commit(k, cpu, target, vma, 0, prev === 0 ? start : -1, prev === 0 ? -1 : end, 0);
  else yield* commit(k, cpu, target, 0, 0, prev === 0 ? start : -1, prev === 0 ? -1 : end, vma);
  return target;
}

/**
 * commit_merge(): `target` grows to [start, end) (-1 leaves a border, or takes that of what is removed), `remove` and `remove2`
 * go, `cut` gives up what `target` takes. A new border inside a huge page of `cut` splits it.
 */
function* commit(
  k: Kernel,
  cpu: number,
  target: number,
  remove: number,
  remove2: number,
  start: number,
  end: number,
  cut: number,
): Path {
  const inode = yield step("vma->vm_file->f_mapping", () => {
    const file = k.vmas.file(target);
    return file === 0 ? 0 : k.files.inode(file);
  });
  const anonVma = yield step("dup_anon_vma", () => {
    for (const source of [remove, remove2, cut]) if (source !== 0) dupAnonVma(k, target, source);
    return k.vmas.anonVma(target);
  });
  const locks = yield* takeRmapLocks(k, inode, anonVma);
  if (cut !== 0) yield* splitHugePmdIfNeeded(k, cpu, cut, start === -1 ? end : start);
  yield step("vma_set_range", () => {
    setRanges(k, target, remove, remove2, start, end, cut);
    return 0;
  });
  yield* dropRmapLocks(k, locks);
  if (remove === 0) return;
  yield step("vma_complete", () => {
    for (const gone of [remove, remove2]) {
      if (gone === 0) continue;
      const file = k.vmas.file(gone);
      const uffd = k.vmas.uffd(gone);
      unlinkAnonVmas(k, gone);
      k.vmas.free(gone);
      if (file !== 0) filePut(k, file);
      if (uffd !== 0) k.uffds.put(uffd);
    }
    return 0;
  });
}

function setRanges(
  k: Kernel,
  target: number,
  remove: number,
  remove2: number,
  start: number,
  end: number,
  cut: number,
): void {
  const { vmas } = k;
  const list = k.mms.vmaList(vmas.mm(target));
  let low = start === -1 ? vmas.start(target) : start;
  let high = end === -1 ? vmas.end(target) : end;
  for (const source of [remove, remove2, cut]) {
    if (source !== 0) vmas.setFlags(target, vmas.flags(target) | (vmas.flags(source) & STICKY));
  }
  for (const gone of [remove, remove2]) {
    if (gone === 0) continue;
    low = Math.min(low, vmas.start(gone));
    high = Math.max(high, vmas.end(gone));
    vmas.remove(list, gone);
    unlinkFileVma(k, gone);
  }
  if (cut !== 0) {
    if (start === -1) vmas.setRange(cut, end, vmas.end(cut), vmas.linearIndex(cut, end));
    else vmas.setRange(cut, vmas.start(cut), start, vmas.pgoff(cut));
  }
  const moved = vmas.start(target) - low;
  vmas.setRange(target, low, high, vmas.pgoff(target) - moved);
  anonVmaTreeUpdate(k, target);
  if (cut !== 0) {
    anonVmaTreeUpdate(k, cut);
    fileTreeUpdate(k, cut);
  }
  fileTreeUpdate(k, target);
}
