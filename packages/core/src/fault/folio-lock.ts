import { step, type Step, waitFor } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { PG_LOCKED } from "../page.js";

/** folio_lock(): may sleep. */
export function folioLock(k: Kernel, pfn: number): Step {
  return waitFor(
    "folio_lock",
    () => !k.pages.test(pfn, PG_LOCKED),
    () => {
      k.pages.mark(pfn, PG_LOCKED);
      return 0;
    },
  );
}

/** folio_trylock(): 1 when taken. */
export function folioTrylock(k: Kernel, pfn: number): Step {
  return step("folio_trylock", () => {
    if (k.pages.test(pfn, PG_LOCKED)) return 0;
    k.pages.mark(pfn, PG_LOCKED);
    return 1;
  });
}

/** folio_unlock(). */
export function folioUnlock(k: Kernel, pfn: number): Step {
  return step("folio_unlock", () => {
    k.pages.unmark(pfn, PG_LOCKED);
    return 0;
  });
}
