import type { Kernel } from "../kernel.js";
import { PAGE_SIZE } from "../geometry.js";
import { taskPages } from "../vma/task-size.js";
import { mmHandle } from "./mm-handle.js";

/** Where a new address space keeps its heap and looks for room. Pages. */
export interface CreateMmOptions {
  readonly brkPage?: number;
  /** Top of the area for mappings without an address. */
  readonly mmapBase?: number;
}

/** Pages below the top that the stack and its gap take: 128 MiB, MIN_GAP. */
const STACK_GAP = 32_768;

/** mm_alloc(): an empty address space with one user, known to the bus. At set-up or inside a step. */
export function createMm(k: Kernel, options: CreateMmOptions = {}): number {
  const pgd = k.tables.create(k.tables.top);
  const mm = k.mms.alloc(pgd, k.vmas.createList());
  const { first } = k.tables;
  const end = taskPages(k);
  k.mms.setMmapBase(mm, options.mmapBase ?? (end - first > 4 * STACK_GAP ? end - STACK_GAP : end));
  const brk = options.brkPage ?? first + Math.floor((end - first) / 4);
  k.mms.setBrk(mm, brk, brk * PAGE_SIZE);
  k.bus.attach(mmHandle(k, mm));
  return mm;
}
