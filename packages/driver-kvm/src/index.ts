import { defineSecondaryMmu } from "@mmu-notifier/sdk";
import { declarations, DEFAULT_OPTIONS, type KvmOptions } from "./config.js";
import { bind } from "./driver.js";

export type { KvmOptions } from "./config.js";
export type { KvmBinding } from "./driver.js";

/** A KVM-style shadow MMU: a table of its own, kept true by start and end, filled by faults that software resolves. */
export default defineSecondaryMmu<undefined, KvmOptions>({
  name: "kvm",
  sdk: 1,
  summary: "KVM-style shadow page table with the retry protocol, memslots, aging and dirty logging",
  options: DEFAULT_OPTIONS,
  declares: (_host, options) => declarations(options),
  decides: (_host, { filter }) =>
    filter
      ? {
          protectionUpgrade: "filter",
          because: "a guest's write to a read-only entry exits to software, which looks at the host's entry again",
        }
      : {
          protectionUpgrade: "deliver",
          because: "the option filter is off: correct, at the price of a zap and a retry for each upgrade",
        },
  create: bind,
});
