import type { Memory, Segment } from "@mmu-notifier/steps";

const FEATURES = 1;
const REFERENCES = 2;
const STRIDE = 4;

/** A fault that userfaultfd would handle ends in SIGBUS instead of waiting for the monitor. */
export const UFFD_FEATURE_SIGBUS = 1 << 0;
/** Write protection is resolved by the kernel itself in the fault. */
export const UFFD_FEATURE_WP_ASYNC = 1 << 1;
/** Write protection covers unpopulated pages of anonymous memory too. */
export const UFFD_FEATURE_WP_UNPOPULATED = 1 << 2;

/** userfaultfd contexts: features and how many VMAs and descriptors refer to each. */
export class Userfaultfds {
  readonly segment: Segment;

  constructor(memory: Memory, rows = 2) {
    this.segment = memory.segment("userfaultfds", STRIDE, rows);
  }

  /** A context with one reference, the descriptor's. */
  create(features: number): number {
    const uffd = this.segment.alloc();
    this.segment.i32[uffd * STRIDE + FEATURES] = features;
    this.segment.i32[uffd * STRIDE + REFERENCES] = 1;
    return uffd;
  }

  features(uffd: number): number {
    return this.segment.i32[uffd * STRIDE + FEATURES]!;
  }

  has(uffd: number, feature: number): boolean {
    return (this.features(uffd) & feature) !== 0;
  }

  get(uffd: number): void {
    this.segment.i32[uffd * STRIDE + REFERENCES]!++;
  }

  /** userfaultfd_ctx_put(). */
  put(uffd: number): void {
    if (--this.segment.i32[uffd * STRIDE + REFERENCES]! === 0) this.segment.free(uffd);
  }
}
