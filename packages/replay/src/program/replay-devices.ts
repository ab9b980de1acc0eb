import { type Kernel, ptePresent } from "@mmu-notifier/core";
import type { AddressSpace, Device, Machine } from "@mmu-notifier/machine";
import { ACCESS_RETRY, deviceAccessOnce, deviceAccessOnHit, type UpgradeDecision } from "@mmu-notifier/sdk";
import type { ReplayDrivers } from "../options.js";
import type { DeviceReport } from "./report.js";

/**
 * What the devices of a replay do, since a trace of a program says nothing about devices.
 *
 * - `follow`: after the program faulted a page in, each device reads it, and writes it if the program's access was a write;
 *   then it reads again the pages of its window, the last {@link WINDOW} others, as far as they are still mapped. So every
 *   page that the program touches is used by the devices shortly afterwards, and what an invalidation drops is fetched again.
 * - `idle`: the devices only listen.
 */
export type DevicePolicy = "follow" | "idle";

/** Pages that a device keeps coming back to. */
export const WINDOW = 4;

/** What a driver said when it was bound. */
interface Declared {
  readonly device: Device;
  readonly decision: UpgradeDecision;
  readonly filters: readonly string[];
  /** Accesses that can never complete, or were refused. */
  livelocks: number;
  aborts: number;
}

/** Attempts before an access is looked at for a livelock; a fault and its retry take two. */
const QUICK_ATTEMPTS = 4;

/** Sizes of translation caches, for drivers that have options of these names: hardware, not a checker's toy. */
function cacheSizes(defaults: object): Readonly<Record<string, number>> {
  const sizes = { tlbSets: 64, tlbWays: Object.hasOwn(defaults, "tlbSets") ? 8 : 64, atcSets: 16, atcWays: 4 };
  return Object.fromEntries(Object.entries(sizes).filter(([option]) => Object.hasOwn(defaults, option)));
}

/**
 * The secondary MMUs of a replay: one device of each driver, shared by all processes that are attached. None of their accesses
 * changes what the program sees: they use pages that are mapped, and write only what the program has just written.
 */
export class ReplayDevices {
  readonly #machine: Machine;
  readonly #k: Kernel;
  readonly #drivers: ReplayDrivers;
  readonly #policy: DevicePolicy;
  readonly #declared = new Map<string, Declared>();
  /** Last pages by address space, oldest first. */
  readonly #windows = new Map<AddressSpace, number[]>();

  constructor(machine: Machine, drivers: ReplayDrivers, policy: DevicePolicy) {
    this.#machine = machine;
    this.#k = machine.kernel;
    this.#drivers = drivers;
    this.#policy = policy;
  }

  /** Binds every device to a process. */
  attach(space: AddressSpace): void {
    for (const { driver, name: given, options } of this.#drivers) {
      const definition =
        typeof driver === "string" ? this.#machine.registry.find("driver", driver).plugin.driver : driver;
      const { options: defaults = {} } = definition;
      const name = given ?? definition.name;
      const known = this.#declared.has(name);
      const settings = known ? {} : { options: { ...cacheSizes(defaults), ...options } };
      const device = this.#machine.attach(driver, { process: space, name, ...settings });
      const { decision, declarations } = device.binding(space);
      if (!known)
        this.#declared.set(name, { device, decision, filters: declarations.filters, livelocks: 0, aborts: 0 });
    }
    this.#windows.set(space, []);
  }

  /** Takes the devices off a process that has exited. */
  detach(space: AddressSpace): void {
    if (!this.#windows.delete(space)) return;
    for (const { device } of this.#declared.values()) this.#machine.run(device.unbind(space), "unbind");
  }

  /** The program has just faulted page `vpn` in. */
  follow(space: AddressSpace, vpn: number, write: boolean): void {
    const window = this.#windows.get(space);
    if (this.#policy === "idle" || window === undefined) return;
    for (const declared of this.#declared.values()) {
      this.#access(declared, space, vpn, "read");
      if (write) this.#access(declared, space, vpn, "write");
      for (const page of window)
        if (page !== vpn && this.#mapped(space.mm, page)) this.#access(declared, space, page, "read");
    }
    const at = window.indexOf(vpn);
    if (at >= 0) window.splice(at, 1);
    window.push(vpn);
    if (window.length > WINDOW) window.shift();
  }

  /**
   * What each device was told and did.
   *
   * @param notifications starts of invalidations that the kernel sent, by event
   */
  report(notifications: Readonly<Record<string, number>>): readonly DeviceReport[] {
    return Array.from(this.#declared, ([name, { device, decision, filters, livelocks, aborts }]) => {
      const costs = device.report();
      const filtered = Object.fromEntries(Object.entries(notifications).filter(([event]) => filters.includes(event)));
      return {
        name,
        driver: device.definition.name,
        decision,
        delivered: costs.callbacks,
        filtered,
        livelocks,
        aborts,
        costs,
      };
    });
  }

  /** Most accesses need one attempt; a proof that one never ends is only looked for when it has had several. */
  #access(declared: Declared, space: AddressSpace, vpn: number, access: "read" | "write"): void {
    const bound = declared.device.binding(space);
    if (deviceAccessOnHit(bound, vpn, access, 1) !== ACCESS_RETRY) return;
    for (let attempt = 1; attempt <= QUICK_ATTEMPTS; attempt++) {
      const result = this.#machine.run(deviceAccessOnce(bound, vpn, access, 1), declared.device.name);
      if (result >= 0) return;
      if (result !== ACCESS_RETRY) {
        declared.aborts++;
        return;
      }
      this.#machine.settle();
    }
    const { outcome } = declared.device.access(vpn, access, 1, space);
    if (outcome.kind === "abort") declared.aborts++;
    else if (outcome.kind !== "value") declared.livelocks++;
  }

  #mapped(mm: number, vpn: number): boolean {
    const ptep = this.#k.tables.leaf(this.#k.mms.pgd(mm), vpn);
    return ptep !== 0 && ptePresent(this.#k.tables.get(ptep));
  }
}
