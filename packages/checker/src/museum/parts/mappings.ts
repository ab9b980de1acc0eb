import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PAGE_SIZE,
  PFN_SHIFT,
  PROT_READ,
  PROT_WRITE,
  sysFork,
  sysMmap,
  sysMunmap,
  userAccess,
} from "@mmu-notifier/core";
import type { Scene } from "../../scene/scene.js";

/** Page at which the mappings lie. */
const PAGE = 0;

/** mmap(2) of one private page, written once, its entry then given `flags`; returns the page. At set-up. */
export function writableMapping(scene: Scene, flags?: number): number {
  const { k, mm } = scene;
  const thread = { cpu: 0, mm };
  const request = {
    address: PAGE * PAGE_SIZE,
    length: PAGE_SIZE,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
  };
  scene.run(sysMmap(k, thread, request));
  scene.run(userAccess(k, thread, PAGE, "write", 1));
  scene.oracle.owns(scene.oracle.frameOf(mm, PAGE), mm);
  if (flags !== undefined) {
    const ptep = k.tables.leaf(k.mms.pgd(mm), PAGE);
    k.tables.set(ptep, (k.tables.get(ptep) & ~((1 << PFN_SHIFT) - 1)) | flags);
  }
  return PAGE;
}

/** As {@link writableMapping}, then fork(2) and an end of the child's mapping: write-protected, and exclusive again. */
export function mappingAfterFork(scene: Scene): number {
  const page = writableMapping(scene);
  const { k, mm } = scene;
  const child = scene.run(sysFork(k, { cpu: 0, mm }));
  scene.run(sysMunmap(k, { cpu: 0, mm: child }, page * PAGE_SIZE, PAGE_SIZE));
  return page;
}
