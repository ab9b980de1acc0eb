import { architecture } from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import { type MachineError, PluginRegistry } from "../src/index.js";
import { toyDriver } from "./toy-driver.js";

function error(run: () => unknown): MachineError {
  try {
    run();
  } catch (thrown) {
    return thrown as MachineError;
  }
  throw new Error("nothing was thrown");
}

describe("PluginRegistry", () => {
  it("starts with the kernels and architectures of core and no driver", () => {
    const registry = PluginRegistry.withCore();

    expect(registry.list("kernel-profile").map(({ name }) => name)).toContain("v6.4+upgrade-event");
    expect(registry.list("architecture").every(({ origin }) => origin === "@mmu-notifier/core")).toBe(true);
    expect(registry.list("driver")).toEqual([]);
  });

  it("finds a driver by name and knows where it came from", () => {
    const driver = toyDriver();

    expect(new PluginRegistry().add(driver, "toy-package@1.0.0").find("driver", "toy")).toEqual({
      name: "toy",
      origin: "toy-package@1.0.0",
      plugin: { kind: "driver", driver },
    });
  });

  it("takes a list of plugins of any kind", () => {
    const arch = { ...architecture("arm64"), name: "arm64-next" };
    const registry = new PluginRegistry().add([toyDriver(), { kind: "architecture", architecture: arch }], "bundle");

    expect(registry.list().map(({ plugin, name }) => [plugin.kind, name])).toEqual([
      ["driver", "toy"],
      ["architecture", "arm64-next"],
    ]);
  });

  it("names the likely plugin and all that exist when there is none of a name", () => {
    const registry = new PluginRegistry().add([toyDriver("arm-smmu"), toyDriver("kvm")], "shipped");

    expect(error(() => registry.find("driver", "arm-smu"))).toMatchObject({
      code: "PLUGIN_UNKNOWN",
      message: 'there is no driver "arm-smu". Did you mean "arm-smmu"? There are arm-smmu, kvm',
      details: { kind: "driver", name: "arm-smu", known: ["arm-smmu", "kvm"] },
    });
    expect(error(() => new PluginRegistry().find("driver", "kvm")).message).toBe(
      'there is no driver "kvm". No driver is registered',
    );
  });

  it("names both origins when two plugins have one name", () => {
    const registry = new PluginRegistry().add(toyDriver(), "one@1.0.0");

    expect(error(() => registry.add(toyDriver(), "two@2.0.0"))).toMatchObject({
      code: "PLUGIN_DUPLICATE",
      message: 'two plugins are a driver "toy": one from one@1.0.0, one from two@2.0.0. Rename one, or leave one out',
      details: { origins: ["one@1.0.0", "two@2.0.0"] },
    });
  });

  it("lets kinds share a name", () => {
    const registry = PluginRegistry.withCore().add(toyDriver("arm64"), "toys");

    expect([registry.has("driver", "arm64"), registry.has("architecture", "arm64")]).toEqual([true, true]);
  });

  it.each([
    [null, "SDK_DEFINITION_INVALID", "x is no secondary-MMU driver"],
    ["text", "SDK_DEFINITION_INVALID", "x is no secondary-MMU driver"],
    [{ sdk: 1, name: "a" }, "SDK_DEFINITION_INVALID", "x is no secondary-MMU driver"],
    [{ ...toyDriver(), sdk: 2 }, "SDK_VERSION_UNSUPPORTED", "x is written for sdk 2"],
    [
      { kind: "gpu" },
      "PLUGIN_INVALID",
      'x is no plugin: its kind is "gpu"; known kinds are driver, kernel-profile, architecture',
    ],
    [{ kind: "architecture" }, "PLUGIN_INVALID", 'x is no plugin: it lacks the object "architecture"'],
    [{ kind: "kernel-profile", profile: {} }, "PLUGIN_INVALID", "x is no plugin: the kernel has no name"],
  ])("refuses %j as a plugin", (exported, code, message) => {
    const thrown = error(() => new PluginRegistry().add(exported, "x"));

    expect(thrown.code).toBe(code);
    expect(thrown.message).toContain(message);
  });

  it("copies: what is added to the copy is not in the original", () => {
    const registry = PluginRegistry.withCore();
    registry.copy().add(toyDriver(), "toys");

    expect(registry.has("driver", "toy")).toBe(false);
  });
});
