// Machines
export { createMachine, DEFAULT_ARCH, DEFAULT_KERNEL, Machine, type MachineOptions } from "./machine.js";
export { AddressSpace } from "./address-space.js";
export { type AttachOptions, Device } from "./device.js";
export { checkHiddenState } from "./hidden-state.js";
export type { TimelineEvent } from "./timeline.js";

// Plugins
export {
  type ArchitecturePlugin,
  type DriverPlugin,
  type Exporter,
  type ExporterPlugin,
  type Invariant,
  type InvariantPlugin,
  type KernelProfilePlugin,
  type Plugin,
  PLUGIN_KINDS,
  type PluginExport,
  type PluginKind,
  pluginObject,
  type TraceReader,
  type TraceReaderPlugin,
} from "./plugin.js";
export { type PluginEntry, PluginRegistry } from "./plugin-registry.js";
export {
  DRIVER_KEYWORD,
  type DriverPackage,
  findDriverPackages,
  isPath,
  type LoadedPlugins,
  loadPlugin,
} from "./load-plugin.js";

// Containers
export type { DependencyContainer, InjectionToken } from "./di.js";
export * from "./tokens.js";

// Errors
export { MachineError, type MachineErrorCode, pluginThrew } from "./errors.js";
