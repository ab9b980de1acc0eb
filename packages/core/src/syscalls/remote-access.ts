import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EFAULT, EIO } from "../errno.js";
import { findExtendVma } from "../fault/expand-stack.js";
import { getUserPages, unpinUserPage } from "../fault/gup.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY } from "../page.js";
import type { Thread } from "../thread.js";

/**
 * One byte through /proc/PID/mem: access_remote_vm() with FOLL_FORCE, so a debugger reads and writes against the VMA's rights, and
 * never through a shared file's. mmap_lock is held over the copy.
 *
 * @param t whose memory it is
 * @returns the byte of the page, or -EIO
 */
export function procMemAccess(k: Kernel, t: Thread, vpn: number, access: "read" | "write", value = 0): Path<number> {
  return call("access_remote_vm", accessRemoteVm(k, t, vpn, access === "write", value));
}

function* accessRemoteVm(k: Kernel, t: Thread, vpn: number, write: boolean, value: number): Path<number> {
  yield downRead(k.mms.mmapLock(t.mm));
  yield* findExtendVma(k, t.cpu, t.mm, vpn);
  const page = yield* getUserPages(k, t.cpu, t.mm, vpn, {
    write,
    force: k.profile.procMemForces,
    get: true,
    remote: true,
    keepLock: true,
  });
  const byte = page < 0 ? -EIO : yield copyByte(k, page, write, value);
  if (page >= 0) {
    yield step("put_page", () => {
      k.pages.put(page);
      return 0;
    });
  }
  yield upRead(k.mms.mmapLock(t.mm));
  return byte;
}

/**
 * One byte through process_vm_readv() or process_vm_writev(): the page is pinned under mmap_lock and copied after it was dropped.
 *
 * @param t whose memory it is
 * @returns the byte of the page, or -EFAULT
 */
export function processVmAccess(k: Kernel, t: Thread, vpn: number, access: "read" | "write", value = 0): Path<number> {
  return call("process_vm_rw", processVmRw(k, t, vpn, access === "write", value));
}

function* processVmRw(k: Kernel, t: Thread, vpn: number, write: boolean, value: number): Path<number> {
  yield downRead(k.mms.mmapLock(t.mm));
  const page = yield* getUserPages(k, t.cpu, t.mm, vpn, { write, pin: true, remote: true });
  yield upRead(k.mms.mmapLock(t.mm));
  if (page < 0) return -EFAULT;
  const byte = yield copyByte(k, page, write, value);
  yield step("unpin_user_pages_dirty_lock", () => {
    unpinUserPage(k, page);
    return 0;
  });
  return byte;
}

/** The copy itself; a page that was written is dirty. */
function copyByte(k: Kernel, page: number, write: boolean, value: number) {
  return step(write ? "copy_to_user_page" : "copy_from_user_page", () => {
    if (!write) return k.pages.content(page);
    k.pages.setContent(page, value);
    k.pages.mark(page, PG_DIRTY);
    return value;
  });
}
