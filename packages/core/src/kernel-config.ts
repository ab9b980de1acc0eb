/** What an administrator sets: sysctls, sysfs, boot options, the machine. */
export interface KernelConfig {
  readonly cpus: number;
  /** /sys/kernel/mm/transparent_hugepage/enabled. */
  readonly thp: "always" | "madvise" | "never";
  /** /sys/kernel/mm/transparent_hugepage/shmem_enabled. */
  readonly shmemThp: "always" | "advise" | "never";
  /** transparent_hugepage/use_zero_page. */
  readonly useZeroPage: boolean;
  /** fault_around_bytes in pages. */
  readonly faultAroundPages: number;
  /** read_ahead_kb of the disk, in pages. */
  readonly readAheadPages: number;
  /** vm.nr_hugepages: hugetlb pages in the pool. */
  readonly hugetlbPages: number;
  /** Pages of memory, which only bound what a single mapping may ask for. */
  readonly memoryPages: number;
  /** Swap slots; 0 is no swap. */
  readonly swapSlots: number;
  /** vm.max_map_count. */
  readonly maxMapCount: number;
  /** vm.mmap_min_addr in pages. */
  readonly mmapMinPage: number;
  /** CONFIG_MEM_SOFT_DIRTY. */
  readonly softDirty: boolean;
  /** NUMA nodes. */
  readonly nodes: number;
  /** RLIMIT_MEMLOCK in pages; -1 for none. */
  readonly memlockLimit: number;
  /** The task has CAP_IPC_LOCK, CAP_SYS_ADMIN (root). */
  readonly privileged: boolean;
  /**
   * Folios of the disk file system's cache: as readahead makes them, or those of files that were written before in pieces of 2^n pages.
   * Orders between 0 and a huge page's count as 0.
   */
  readonly diskFolioOrder: "readahead" | number;
  /** Entries of each CPU's TLB; 0 walks on every access. */
  readonly cpuTlbEntries: number;
  /**
   * Single frames are handed out again as from a CPU's free list, the last freed first (rmqueue_pcplist()). Otherwise the lowest
   * free one is taken, so that equal situations look equal whatever was freed on the way.
   */
  readonly lastFreedFirst: boolean;
}

/** A small machine with everything a script may want. */
export const DEFAULT_CONFIG: KernelConfig = {
  cpus: 1,
  thp: "madvise",
  shmemThp: "never",
  useZeroPage: true,
  faultAroundPages: 16,
  readAheadPages: 32,
  hugetlbPages: 64,
  memoryPages: 524_288,
  swapSlots: 262_144,
  maxMapCount: 65_530,
  mmapMinPage: 16,
  softDirty: false,
  nodes: 1,
  memlockLimit: -1,
  privileged: true,
  diskFolioOrder: "readahead",
  cpuTlbEntries: 0,
  lastFreedFirst: false,
};
