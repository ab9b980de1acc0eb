import { architectures, kernelProfiles } from "@mmu-notifier/core";
import { didYouMean } from "@mmu-notifier/steps";
import { MachineError } from "./errors.js";
import { type Plugin, PLUGIN_KINDS, type PluginKind, pluginObject, toPlugins, wordOf } from "./plugin.js";

/** One plugin and where it came from. */
export interface PluginEntry<P extends Plugin = Plugin> {
  readonly name: string;
  readonly plugin: P;
  /** A package, a file, or a call. */
  readonly origin: string;
}

/**
 * Plugins of every kind by name. Nothing is known by name in the code: what ships is registered like
 * anything else.
 *
 * @public
 */
export class PluginRegistry {
  readonly #entries = Object.fromEntries(PLUGIN_KINDS.map((kind) => [kind, new Map()])) as Readonly<
    Record<PluginKind, Map<string, PluginEntry>>
  >;

  /** The kernels and architectures of `@mmu-notifier/core`, and no driver. */
  static withCore(): PluginRegistry {
    const registry = new PluginRegistry();
    for (const profile of kernelProfiles) registry.#insert({ kind: "kernel-profile", profile }, "@mmu-notifier/core");
    for (const architecture of architectures)
      registry.#insert({ kind: "architecture", architecture }, "@mmu-notifier/core");
    return registry;
  }

  /** A registry of the same plugins that can be added to on its own. */
  copy(): PluginRegistry {
    const copy = new PluginRegistry();
    for (const entry of this.list()) copy.#insert(entry.plugin, entry.origin);
    return copy;
  }

  /**
   * Adds what a package exports: one plugin or several.
   *
   * @param origin what messages and `mmun list` call its source
   * @throws MachineError PLUGIN_INVALID, PLUGIN_DUPLICATE naming both origins; SdkError SDK_DEFINITION_INVALID, SDK_VERSION_UNSUPPORTED
   */
  add(exported: unknown, origin: string): this {
    for (const plugin of toPlugins(exported, origin)) this.#insert(plugin, origin);
    return this;
  }

  has(kind: PluginKind, name: string): boolean {
    return this.#entries[kind].has(name);
  }

  /**
   * The plugin of a kind with a name.
   *
   * @throws MachineError PLUGIN_UNKNOWN, with the names that exist and the likely one
   */
  find<K extends PluginKind>(kind: K, name: string): PluginEntry<Extract<Plugin, { kind: K }>> {
    const entry = this.#entries[kind].get(name);
    if (entry !== undefined) return entry as PluginEntry<Extract<Plugin, { kind: K }>>;
    const known = [...this.#entries[kind].keys()];
    const word = wordOf(kind);
    const what = known.length === 0 ? `No ${word} is registered` : `There are ${known.join(", ")}`;
    throw new MachineError(
      "PLUGIN_UNKNOWN",
      `there is no ${word} ${JSON.stringify(name)}.${didYouMean(name, known)} ${what}`,
      { kind, name, known },
    );
  }

  /** All plugins, or those of one kind, in the order they were added. */
  list(): readonly PluginEntry[];
  list<K extends PluginKind>(kind: K): readonly PluginEntry<Extract<Plugin, { kind: K }>>[];
  list(kind?: PluginKind): readonly PluginEntry[] {
    if (kind !== undefined) return [...this.#entries[kind].values()];
    return PLUGIN_KINDS.flatMap((one) => Array.from(this.#entries[one].values()));
  }

  #insert(plugin: Plugin, origin: string): void {
    const name = pluginObject(plugin).name;
    const entries = this.#entries[plugin.kind];
    const other = entries.get(name);
    if (other !== undefined) {
      throw new MachineError(
        "PLUGIN_DUPLICATE",
        `two plugins are a ${wordOf(plugin.kind)} ${JSON.stringify(name)}: one from ${other.origin}, one from ${origin}. Rename one, or leave one out`,
        { kind: plugin.kind, name, origins: [other.origin, origin] },
      );
    }
    entries.set(name, { name, plugin, origin });
  }
}
