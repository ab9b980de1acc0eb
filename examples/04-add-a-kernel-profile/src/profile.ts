import { type KernelProfile, kernelProfile } from "@mmu-notifier/core";

const patched = kernelProfile("v6.4+upgrade-event");

/**
 * The patch with one more call, in `wp_page_reuse()`: the commonest way in which a page becomes writable. A profile is data; what
 * it does not say is as on the kernel that it starts from.
 */
export const patchedReuse: KernelProfile = {
  ...patched,
  name: "v6.4+upgrade-event+reuse",
  summary: "the patch, with a call in wp_page_reuse()",
  upgradeEvent: { ...patched.upgradeEvent!, wpPageReuse: "after-ptl" },
};

export default { kind: "kernel-profile", profile: patchedReuse };
