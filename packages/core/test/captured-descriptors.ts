/**
 * Arguments of ptep_set_access_flags() and its kin, as kprobes on real kernels saw them: the entry that was there, the entry
 * asked for, whether the access was a write, and what was returned.
 *
 * Provenance: Debian kernels 5.10.218-1 (arm64), 5.10.262-1 (x86), 6.1.192-2, 6.12.107-1 and 7.3.4-1 in QEMU 7.2 under TCG,
 * cortex-a72 unless the case says hafdbs; case and step of the recorded scripts are given.
 */
export interface CapturedUpgrade {
  readonly kernel: string;
  readonly arch: "arm64" | "arm64-hafdbs" | "x86-64";
  readonly case: string;
  readonly before: bigint;
  readonly wanted: bigint;
  readonly write: boolean;
  readonly changed: boolean;
}

export const CAPTURED_UPGRADES: readonly CapturedUpgrade[] = [
  // anonymous page, write-protected by fork, reused
  {
    kernel: "v5.10",
    arch: "arm64",
    case: "up-fork-reap-anon#5",
    before: 0xe0000041983fc3n,
    wanted: 0xe8000041983f43n,
    write: true,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "up-fork-reap-anon#5",
    before: 0xe00000421f3fc3n,
    wanted: 0xe80000421f3f43n,
    write: true,
    changed: true,
  },
  {
    kernel: "v7.3",
    arch: "arm64-hafdbs",
    case: "up-fork-reap-anon#5",
    before: 0xe0000042cc2fc3n,
    wanted: 0xe8000042cc2f43n,
    write: true,
    changed: true,
  },
  {
    kernel: "v5.10",
    arch: "x86-64",
    case: "up-fork-reap-anon#5",
    before: 0x8000000003e08865n,
    wanted: 0x8000000003e08867n,
    write: true,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "x86-64",
    case: "up-fork-reap-anon#5",
    before: 0x8400000002bb8825n,
    wanted: 0x8000000002bb8867n,
    write: true,
    changed: true,
  },
  {
    kernel: "v7.3",
    arch: "x86-64",
    case: "up-fork-reap-anon#5",
    before: 0x84000000031b8825n,
    wanted: 0x80000000031b8867n,
    write: true,
    changed: true,
  },
  // writable and clean: shared memory read first
  {
    kernel: "v6.1",
    arch: "arm64",
    case: "up-shared-anon#3",
    before: 0x68000041e6dfc3n,
    wanted: 0xe8000041e6df43n,
    write: true,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "up-shared-anon#3",
    before: 0x6800004222afc3n,
    wanted: 0xe800004222af43n,
    write: true,
    changed: true,
  },
  {
    kernel: "v7.3",
    arch: "arm64",
    case: "up-shared-anon#3",
    before: 0x68000042cbefc3n,
    wanted: 0xe8000042cbef43n,
    write: true,
    changed: true,
  },
  // a file's page, clean, mapped read-only for write notification
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "up-ext4-shared-writenotify#4",
    before: 0x600000421e2fc3n,
    wanted: 0xe80000421e2f43n,
    write: true,
    changed: true,
  },
  {
    kernel: "v6.1",
    arch: "x86-64",
    case: "up-ext4-shared-writenotify#4",
    before: 0x800000000299a025n,
    wanted: 0x800000000299a867n,
    write: true,
    changed: true,
  },
  // soft-dirty cleared, then written
  {
    kernel: "v6.12",
    arch: "x86-64",
    case: "softdirty#4",
    before: 0x8400000002bb9025n,
    wanted: 0x8000000002bb9867n,
    write: true,
    changed: true,
  },
  // access flag only
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "clear-refs-young#4",
    before: 0xe80000421d6b43n,
    wanted: 0xe80000421d6f43n,
    write: false,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "swapoff-in#6",
    before: 0x600000421c4bc3n,
    wanted: 0x600000421c4fc3n,
    write: false,
    changed: true,
  },
  // old, and written
  {
    kernel: "v6.1",
    arch: "arm64",
    case: "madvise-dontneed-free#7",
    before: 0x68000041e88bc3n,
    wanted: 0xe8000041e88f43n,
    write: true,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "x86-64",
    case: "swapoff-in#5",
    before: 0x8000000003708805n,
    wanted: 0x8000000003708867n,
    write: true,
    changed: true,
  },
  // the zero page, and a page under userfaultfd write protection
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "rnd-010-mixed#22",
    before: 0x1600000425edbc3n,
    wanted: 0x1600000425edfc3n,
    write: false,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "rnd-103-mixed#16",
    before: 0x4e000004ddafbc3n,
    wanted: 0x4e000004ddaffc3n,
    write: false,
    changed: true,
  },
  // nothing to change
  {
    kernel: "v5.10",
    arch: "arm64",
    case: "up-shared-anon#4",
    before: 0xe8000041988f43n,
    wanted: 0xe8000041988f43n,
    write: true,
    changed: false,
  },
  {
    kernel: "v5.10",
    arch: "x86-64",
    case: "up-shared-anon#4",
    before: 0x8000000003e13867n,
    wanted: 0x8000000003e13867n,
    write: true,
    changed: false,
  },
];

/** The same for leaves of 2 MiB. */
export const CAPTURED_HUGE_UPGRADES: readonly CapturedUpgrade[] = [
  {
    kernel: "v6.1",
    arch: "arm64",
    case: "up-hugetlb-private-read-then-write#3",
    before: 0x6000004cc00fc1n,
    wanted: 0xe800004cc00f41n,
    write: true,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "thp-shmem#6",
    before: 0x6800004d600fc1n,
    wanted: 0xe800004d600f41n,
    write: true,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "thp-clear-refs#7",
    before: 0xe800004d600b41n,
    wanted: 0xe800004d600f41n,
    write: false,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "arm64",
    case: "rnd-006-thp#10",
    before: 0x6000004d800fc1n,
    wanted: 0x6000004d800fc1n,
    write: false,
    changed: false,
  },
  {
    kernel: "v6.1",
    arch: "x86-64",
    case: "up-hugetlb-private-read-then-write#3",
    before: 0x800000000fc000a5n,
    wanted: 0x800000000fc008e7n,
    write: true,
    changed: true,
  },
  {
    kernel: "v6.1",
    arch: "x86-64",
    case: "thp-wp-reuse-after-fork#6",
    before: 0x80000000104008e5n,
    wanted: 0x80000000104008e7n,
    write: true,
    changed: true,
  },
  {
    kernel: "v7.3",
    arch: "x86-64",
    case: "thp-wp-reuse-after-fork#6",
    before: 0x8400000010e008a5n,
    wanted: 0x8000000010e008e7n,
    write: true,
    changed: true,
  },
  {
    kernel: "v6.12",
    arch: "x86-64",
    case: "rnd-006-thp#10",
    before: 0x800000000b6000a5n,
    wanted: 0x800000000b6000a5n,
    write: false,
    changed: false,
  },
];
