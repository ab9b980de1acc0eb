import type { InvariantPlugin, Machine, PluginEntry } from "@mmu-notifier/machine";
import type { Report } from "../engine/model.js";

/**
 * What invariants of plugins find broken, in a state in which nobody is in the middle of something. One that throws is a finding about
 * its own package.
 */
export function pluginReports(machine: Machine, plugins: readonly PluginEntry<InvariantPlugin>[]): Report[] {
  return plugins.flatMap(({ name, origin, plugin }): Report[] => {
    const about = `invariant ${name} (${origin})`;
    try {
      const what = plugin.invariant.check(machine);
      return what === undefined ? [] : [{ verdict: "CONTRACT", about, what, rule: plugin.invariant.summary }];
    } catch (error) {
      return [
        {
          verdict: "ERROR",
          about,
          what: `its check threw: ${error instanceof Error ? error.message : String(error)}. Repair ${origin}`,
        },
      ];
    }
  });
}
