import { type Path, step } from "@mmu-notifier/steps";
import type { HardwareContext } from "../context.js";
import { type DeviceFault, FAULT_ABORT, FAULT_RETRY, type FaultStrategy } from "../fault-strategy.js";
import { type FaultServices, IOMMU_PAGE_RESP_SUCCESS } from "../host/fault-services.js";
import type { Peek } from "./iotlb.js";
import { leafAllows } from "./translation-result.js";

/** The access ends; nobody is asked. */
export function abortOnFault(): FaultStrategy {
  return {
    name: "abort",
    *handle() {
      return FAULT_ABORT;
    },
  };
}

/** What a fault strategy may do beside asking the host. */
export interface FaultOptions {
  /** Runs after the host resolved the fault and before the device tries again. */
  readonly beforeRetry?: (fault: DeviceFault) => Path;
  /** The page table behind the device's caches, so that spurious faults can be counted. */
  readonly table?: Peek;
  /** What walks begin at, for instance a context descriptor. Once it is dead the device is off the process, and its faults are aborted. */
  readonly through?: { readonly dead: boolean };
}

/** The page table allowed the access before anybody handled the fault. In steps. */
export function isSpurious({ vpn, write }: DeviceFault, table: Peek | undefined): boolean {
  const leaf = table?.peek(vpn) ?? 0;
  return leaf > 0 && leafAllows(leaf, write);
}

/**
 * The device raises an interrupt of its own and its driver resolves the fault: devices with ATS whose page requests nobody
 * serves.
 */
export function softwareFault(
  context: HardwareContext,
  faults: FaultServices,
  { beforeRetry, table, through }: FaultOptions = {},
): FaultStrategy {
  return {
    name: "software",
    *handle(fault) {
      const dead = yield step("device fault interrupt", () => {
        if (isSpurious(fault, table)) context.costs.count("spuriousFaults");
        if (context.events.observed) context.events.emit({ kind: "fault", ...fault });
        return through?.dead === true ? 1 : 0;
      });
      if (dead !== 0) return FAULT_ABORT;
      const response = yield* faults.handleMmFault(fault.vpn, fault.write);
      if (response !== IOMMU_PAGE_RESP_SUCCESS) return FAULT_ABORT;
      if (beforeRetry !== undefined) yield* beforeRetry(fault);
      return FAULT_RETRY;
    },
  };
}
