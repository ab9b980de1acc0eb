import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { taskPages } from "../vma/task-size.js";

/** validate_range(): page borders inside the address space of programs. Bytes. */
export function validRange(k: Kernel, start: number, length: number): boolean {
  if (start % PAGE_SIZE !== 0 || length % PAGE_SIZE !== 0 || length <= 0) return false;
  return start >= k.config.mmapMinPage * PAGE_SIZE && start + length <= taskPages(k) * PAGE_SIZE;
}
