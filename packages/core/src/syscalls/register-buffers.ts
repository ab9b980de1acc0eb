import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EFAULT } from "../errno.js";
import { getUserPages } from "../fault/gup.js";
import { folioPut } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";

/**
 * io_uring_register(IORING_REGISTER_BUFFERS): pins the pages of [start, start + length) for a device to write, for as long as it
 * likes.
 *
 * @param pins gets the frames, for {@link sysUnregisterBuffers}
 * @returns 0 or -errno; nothing stays pinned after an error
 */
export function sysRegisterBuffers(k: Kernel, t: Thread, start: number, length: number, pins: number[]): Path<number> {
  return call("io_sqe_buffers_register", register(k, t, start, length, pins));
}

function* register(k: Kernel, t: Thread, start: number, length: number, pins: number[]): Path<number> {
  if (length <= 0) return -EFAULT;
  const first = Math.floor(start / PAGE_SIZE);
  const end = Math.ceil((start + length) / PAGE_SIZE);
  let error = 0;
  yield downRead(k.mms.mmapLock(t.mm));
  for (let vpn = first; vpn < end; vpn++) {
    const page = yield* getUserPages(k, t.cpu, t.mm, vpn, { write: true, pin: true, longterm: true });
    if (page < 0) {
      error = page;
      break;
    }
    pins.push(page);
  }
  yield upRead(k.mms.mmapLock(t.mm));
  if (error !== 0) yield* sysUnregisterBuffers(k, pins);
  return error;
}

/** unpin_user_pages() of what was registered; empties the list. */
export function* sysUnregisterBuffers(k: Kernel, pins: number[]): Path {
  const pages = pins.splice(0);
  for (const pfn of pages) {
    yield step("unpin_user_page", () => {
      k.pages.addPincount(pfn, -1);
      folioPut(k, pfn);
      return 0;
    });
  }
}
