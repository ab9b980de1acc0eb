import { type Path, step } from "@mmu-notifier/steps";
import type { HardwareContext } from "../context.js";
import { type DeviceFault, FAULT_ABORT, FAULT_RETRY, type FaultStrategy } from "../fault-strategy.js";
import { type FaultServices, IOMMU_PAGE_RESP_SUCCESS } from "../host/fault-services.js";

/** The access ends; nobody is asked. */
export function abortOnFault(): FaultStrategy {
  return {
    name: "abort",
    *handle() {
      yield* [];
      return FAULT_ABORT;
    },
  };
}

/** What {@link softwareFault} may do beside asking the host. */
export interface SoftwareFaultOptions {
  /** Runs after the host resolved the fault and before the device tries again. */
  readonly beforeRetry?: (fault: DeviceFault) => Path;
}

/**
 * The device raises an interrupt of its own and its driver resolves the fault: devices with ATS whose page requests nobody
 * serves.
 */
export function softwareFault(context: HardwareContext, faults: FaultServices, { beforeRetry }: SoftwareFaultOptions = {}): FaultStrategy {
  return {
    name: "software",
    *handle(fault) {
      yield step("device fault interrupt", () => {
        if (context.events.observed) context.events.emit({ kind: "fault", ...fault });
        return 0;
      });
      const response = yield* faults.handleMmFault(fault.vpn, fault.write);
      if (response !== IOMMU_PAGE_RESP_SUCCESS) return FAULT_ABORT;
      if (beforeRetry !== undefined) yield* beforeRetry(fault);
      return FAULT_RETRY;
    },
  };
}
