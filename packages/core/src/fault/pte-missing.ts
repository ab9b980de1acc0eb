import type { Path } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { doAnonymousPage } from "./anonymous-fault.js";
import { doFault } from "./file-fault.js";
import type { VmFault } from "./vm-fault.js";

/** do_pte_missing(): nothing is mapped, or only a marker. */
export function doPteMissing(k: Kernel, vmf: VmFault): Path<number> {
  return vmf.kind === 0 ? doAnonymousPage(k, vmf) : doFault(k, vmf);
}
