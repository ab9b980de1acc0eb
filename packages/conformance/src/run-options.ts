import type { KernelConfig } from "@mmu-notifier/core";
import type { PluginRegistry } from "@mmu-notifier/machine";
import type { FieldCounts } from "./field-diff.js";
import type { Hosts } from "./hosts.js";
import type { LeftOut } from "./left-out.js";

/** On what model the scripts of a set run, and where the comparison is counted. */
export interface CaseContext {
  readonly kernel: string;
  readonly arch: string;
  readonly config?: Partial<KernelConfig>;
  readonly registry?: PluginRegistry;
  readonly hosts: Hosts;
  readonly counts: FieldCounts;
  readonly leftOut: LeftOut;
  /** Divergences carry what happened inside the operation. */
  readonly detail: boolean;
}
