import { call, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { EINVAL } from "../errno.js";
import type { Thread } from "../thread.js";
import { UFFD_FEATURE_WP_ASYNC, UFFD_FEATURE_WP_UNPOPULATED } from "../userfaultfd.js";

/**
 * userfaultfd(2) and UFFDIO_API: a context with these features.
 *
 * @param features UFFD_FEATURE_ bits
 * @returns its row, or -EINVAL for a feature that this kernel does not have
 */
export function sysUserfaultfd(k: Kernel, _t: Thread, features: number): Path<number> {
  return call("userfaultfd", create(k, features));
}

function* create(k: Kernel, features: number): Path<number> {
  if ((features & UFFD_FEATURE_WP_ASYNC) !== 0 && !since(k.profile, 6, 7)) return -EINVAL;
  if ((features & UFFD_FEATURE_WP_UNPOPULATED) !== 0 && !since(k.profile, 6, 4)) return -EINVAL;
  // Asynchronous write protection covers what is not populated yet.
  const implied = (features & UFFD_FEATURE_WP_ASYNC) !== 0 ? features | UFFD_FEATURE_WP_UNPOPULATED : features;
  return yield step("userfaultfd_api", () => k.uffds.create(implied));
}
