/** Who executes a path: a CPU, in an address space. */
export interface Thread {
  readonly cpu: number;
  /** Row of the current mm. */
  readonly mm: number;
}
