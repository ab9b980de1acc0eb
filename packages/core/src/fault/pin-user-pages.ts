import { call, downRead, type Path, step, type Step, upRead } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { getUserPages, unpinUserPage } from "./gup.js";

/**
 * pin_user_pages() with FOLL_LONGTERM, as RDMA, VFIO and io_uring do: pages [vpn, vpn + count) stay where they are until
 * {@link unpinUserPages}.
 *
 * @param write FOLL_WRITE
 * @returns the frames, or -errno with nothing pinned
 */
export function pinUserPages(
  k: Kernel,
  t: Thread,
  vpn: number,
  count: number,
  write = true,
): Path<readonly number[] | number> {
  return call("pin_user_pages", pinPages(k, t, vpn, count, write));
}

function* pinPages(k: Kernel, t: Thread, vpn: number, count: number, write: boolean): Path<readonly number[] | number> {
  const lock = k.mms.mmapLock(t.mm);
  const pages: number[] = [];
  let error = 0;
  yield downRead(lock);
  for (let at = vpn; at < vpn + count && error === 0; at++) {
    const page = yield* getUserPages(k, t.cpu, t.mm, at, { write, pin: true, longterm: true });
    if (page < 0) error = page;
    else pages.push(page);
  }
  yield upRead(lock);
  if (error === 0) return pages;
  if (pages.length > 0) yield unpin(k, pages);
  return error;
}

/** unpin_user_pages_dirty_lock(): the device is done with `pages`. */
export function* unpinUserPages(k: Kernel, pages: readonly number[]): Path {
  yield unpin(k, pages);
}

function unpin(k: Kernel, pages: readonly number[]): Step {
  return step("unpin_user_pages_dirty_lock", () => {
    for (const page of pages) unpinUserPage(k, page);
    return 0;
  });
}
