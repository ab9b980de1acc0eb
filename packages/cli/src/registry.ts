import { findDriverPackages, isPath, loadPlugin, MachineError, PluginRegistry } from "@mmu-notifier/machine";

/** Packages of the drivers that ship with the command, and the names under which they are found. */
const SHIPPED = [
  { driver: "arm-smmu", load: () => import("@mmu-notifier/driver-arm-smmu") },
  { driver: "iommu-btm", load: () => import("@mmu-notifier/driver-iommu-btm") },
  { driver: "kvm", load: () => import("@mmu-notifier/driver-kvm") },
] as const;

/** What ships: kernels, architectures and the three drivers. */
export async function shippedRegistry(): Promise<PluginRegistry> {
  const registry = PluginRegistry.withCore();
  const modules = await Promise.all(SHIPPED.map(({ load }) => load()));
  modules.forEach((module, index) =>
    registry.add((module as { readonly default: unknown }).default, `@mmu-notifier/driver-${SHIPPED[index]!.driver}`),
  );
  return registry;
}

/** A driver package that is installed but cannot be used, and why. */
export interface BrokenDriver {
  readonly name: string;
  readonly error: string;
}

/** Adds every installed package with the driver keyword; those that do not load are returned, not thrown. */
export async function addInstalledDrivers(registry: PluginRegistry, from: string): Promise<readonly BrokenDriver[]> {
  const broken: BrokenDriver[] = [];
  const shipped = new Set(registry.list("driver").map(({ origin }) => origin));
  for (const { name } of findDriverPackages(from)) {
    if (shipped.has(name)) continue;
    try {
      const { origin, plugins } = await loadPlugin(name, from);
      registry.add(plugins, origin);
    } catch (error) {
      broken.push({ name, error: error instanceof Error ? error.message : String(error) });
    }
  }
  return broken;
}

/**
 * Adds what files and packages export, as `--plugin` names them.
 *
 * @throws MachineError PLUGIN_NOT_FOUND, PLUGIN_LOAD_FAILED, PLUGIN_INVALID, PLUGIN_DUPLICATE; SdkError
 */
export async function addPlugins(registry: PluginRegistry, written: readonly string[], from: string): Promise<void> {
  for (const specifier of written) {
    const { origin, plugins } = await loadPlugin(specifier, from);
    registry.add(plugins, origin);
  }
}

/**
 * The name of the driver that a user wrote: a shipped or installed name, a package, or a file, which is loaded.
 *
 * @throws MachineError PLUGIN_UNKNOWN, PLUGIN_NOT_FOUND, PLUGIN_LOAD_FAILED and others
 */
export async function resolveDriver(registry: PluginRegistry, written: string, from: string): Promise<string> {
  if (registry.has("driver", written)) return written;
  if (!isPath(written)) {
    await addInstalledDrivers(registry, from);
    if (registry.has("driver", written)) return written;
    if (!written.startsWith("@") && !findDriverPackages(from).some(({ name }) => name === written))
      registry.find("driver", written);
  }
  const { origin, plugins } = await loadPlugin(written, from);
  const driver = plugins.find((plugin) => plugin.kind === "driver");
  if (driver === undefined)
    throw new MachineError(
      "PLUGIN_INVALID",
      `${origin} has no driver. Its default export has to be what defineSecondaryMmu returns`,
      { origin },
    );
  const known = registry.list("driver").find((entry) => entry.origin === origin && entry.name === driver.driver.name);
  if (known === undefined) registry.add(plugins, origin);
  return driver.driver.name;
}
