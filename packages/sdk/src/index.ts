// The driver's object
export {
  type AnySecondaryMmuDefinition,
  declarationsOf,
  defineSecondaryMmu,
  SDK_GENERATION,
  type SecondaryMmuDefinition,
  type UpgradeDecision,
  upgradeDecisionOf,
} from "./definition.js";
export type { Declarations, OnMissingRight, PageTableSharing } from "./declarations.js";
export { checkBinding } from "./check-binding.js";
export { checkDefinition, resolveOptions } from "./check-definition.js";
export { checkDeclaration, type ContractFinding, mayFilterUpgrade } from "./check-declaration.js";

// What a driver is given, and what it gives back
export type { BindingContext, BoundMm, DeviceContext, HardwareContext } from "./context.js";
export type { Binding, CachedTable, HardwareTask, SecondaryEntry } from "./binding.js";
export { DeviceMemory, Words } from "./device-memory.js";
export { type FailurePoint, FailurePoints } from "./failure-points.js";
export { isWholeMm, type PageRange, pageRange } from "./page-range.js";
export { alignedSpan, type PageSpan } from "./page-span.js";

// The host
export {
  type BoundDevice,
  type BoundParts,
  createDevice,
  Device,
  type DeviceOptions,
  machineAsids,
} from "./host/device.js";
export { type FlushKind, type HostFacts, hostFacts } from "./host/host-facts.js";
export { type AddressSpaceAllocator, AsidPool, maxPinnedAsids } from "./host/asid-pool.js";
export type { CallbackBreach } from "./host/callback-watch.js";
export type { IntervalServices } from "./host/interval-services.js";
export type { PageServices } from "./host/page-services.js";
export type { DvmLink } from "./host/dvm-link.js";
export {
  type FaultServices,
  faultServices,
  GUP_WRITABLE,
  type GupRequest,
  IOMMU_PAGE_RESP_FAILURE,
  IOMMU_PAGE_RESP_INVALID,
  IOMMU_PAGE_RESP_SUCCESS,
} from "./host/fault-services.js";

// Accesses
export {
  abortedBy,
  ACCESS_RETRY,
  type AccessOutcome,
  decodeAccess,
  deviceAccess,
  deviceAccessOnce,
  deviceAccessOnHit,
  type UseWatcher,
} from "./device-access.js";
export { accessUntilResolved, type ResolvedAccess, type StraightMachine } from "./access-until-resolved.js";

// Hardware blocks: translation
export {
  AccessRequest,
  type HeldRows,
  type NextStage,
  type Translation,
  type TranslationStage,
} from "./hardware/translation.js";
export * from "./hardware/translation-result.js";
export { chain } from "./hardware/chain.js";
export { Iotlb, iotlb, type IotlbOptions, type Peek } from "./hardware/iotlb.js";
export type { TlbShape } from "./hardware/tlb-array.js";
export { Atc, atc, type AtcOptions } from "./hardware/atc.js";
export { WalkCache } from "./hardware/walk-cache.js";
export { Walker, type WalkerAgent, type WalkerOptions, type WalkWatcher } from "./hardware/walker.js";
export { InFlight } from "./hardware/in-flight.js";
export { HIT_POLICIES, type HitPolicy } from "./hardware/hit-policy.js";

export { GuestTable, refusingStage, twoStage } from "./hardware/two-stage.js";

// Composition: what is told, how it is answered
export { answering, type FlushAnswers, flushes } from "./compose/flushes.js";
export {
  type InvalidationStrategy,
  pageByPage,
  powerOfTwoPieces,
  powerOfTwoSpan,
  upToPages,
  wholeAddressSpace,
} from "./compose/invalidation-strategy.js";
export { ownRanges } from "./compose/owner-filter.js";
export { type TlbParts, tlbTarget } from "./compose/tlb-target.js";

// Hardware blocks: commands and faults
export {
  CERROR_ATC_INV_SYNC,
  CMDQ_TIMEOUT,
  CommandQueue,
  commandQueue,
  type CommandQueueOptions,
  type CommandTarget,
} from "./hardware/command-queue.js";
export * from "./hardware/commands.js";
export { atcInvRange, maxTlbiOps, type RangeOptions, tlbiRange } from "./hardware/range-encoding.js";
export { StallQueue, type StallQueueOptions } from "./hardware/stall-queue.js";
export { ContextDescriptor } from "./hardware/context-descriptor.js";
export { onMissingRight, SMMU_V3_DEFAULTS, SmmuV3, type SmmuV3Options } from "./hardware/smmu-v3.js";
export { SvaDomain } from "./hardware/sva-domain.js";
export { type PageRequest, PageRequestQueue, type PageRequestQueueOptions } from "./hardware/page-request-queue.js";
export { abortOnFault, type FaultOptions, isSpurious, softwareFault } from "./hardware/fault-strategies.js";
export { type DeviceFault, FAULT_ABORT, FAULT_RETRY, type FaultStrategy } from "./fault-strategy.js";

// Software blocks: tables of the driver's own
export * from "./software/shadow-table.js";
export { type GfnRange, type Memslot, MEMSLOT_LOG_DIRTY, Memslots } from "./software/memslots.js";
export { InvalidateCounters, type InvalidateCountersOptions } from "./software/invalidate-counters.js";
export { IntervalMirror, type IntervalMirrorOptions } from "./software/interval-mirror.js";
export { PinnedPages } from "./software/pinned-pages.js";
export { ShadowStage } from "./software/shadow-stage.js";
export { SequenceCount } from "./software/sequence-count.js";

// Watching
export { COST_COUNTERS, type CostCounter, type CostReport, Costs } from "./costs.js";
export { type DeviceError, type DeviceEvent, DeviceEvents } from "./device-event.js";

// From the floors below, for drivers, which import nothing else
export {
  exceptEvents,
  type IntervalNotifierOps,
  invalidations,
  MMU_NOTIFY_EVENTS,
  type MmuNotification,
  type MmuNotifierRange,
  type MmuNotifyEvent,
  type NotificationStream,
  onlyEvents,
  phases,
  ranges,
} from "@mmu-notifier/bus";
export {
  type DvmParticipant,
  EFAULT,
  type FlushScope,
  type Geometry,
  PAGE_SIZE,
  pagesPerEntry,
  PTE_AF,
  PTE_DIRTY,
} from "@mmu-notifier/core";
export {
  call,
  choose,
  lockAt,
  lockClass,
  mutexLock,
  mutexUnlock,
  type Path,
  type Segment,
  spinLock,
  spinUnlock,
  spinUntil,
  type Step,
  step,
  waitEvent,
  waitFor,
} from "@mmu-notifier/steps";

// For a driver's own tests
export { Actor } from "./testing/actor.js";
export { READ_ONLY, READ_WRITE, Workbench, type WorkbenchOptions, WRITABLE_CLEAN } from "./testing/workbench.js";

// Errors
export { SdkError, type SdkErrorCode } from "./errors.js";
