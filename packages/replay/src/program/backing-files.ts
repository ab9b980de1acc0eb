import { FMODE_EXEC, FMODE_READ, FMODE_WRITE, INODE_DISK, INODE_SHMEM, type Kernel } from "@mmu-notifier/core";

const PAGE = 4096;
/** Names under which /proc/PID/maps shows memory that no disk file backs. */
const SHMEM = /^\/(dev\/shm\/|dev\/zero|memfd:|SYSV)/;

/**
 * The files that the programs of a trace map. Mappings of the MAPS lines name theirs. System calls give a descriptor only, and
 * descriptors are used again: a mapping over a part of an earlier one of the same descriptor (the way a dynamic loader maps a
 * library) is the same file, any other is a new file.
 */
export class BackingFiles {
  readonly #k: Kernel;
  readonly #byPath = new Map<string, number>();
  readonly #byDescriptor = new Map<string, { readonly file: number; readonly start: number; readonly end: number }>();

  constructor(kernel: Kernel) {
    this.#k = kernel;
  }

  /** The file of a path, at least `bytes` long. */
  named(path: string, bytes: number): number {
    let file = this.#byPath.get(path);
    if (file === undefined) this.#byPath.set(path, (file = this.#create(SHMEM.test(path) ? INODE_SHMEM : INODE_DISK)));
    this.#grow(file, bytes);
    return file;
  }

  /** The file behind a descriptor of a process, mapped at [start, end) with its bytes up to `bytes`. */
  mapped(pid: number, descriptor: number, start: number, end: number, bytes: number): number {
    const key = `${pid}:${descriptor}`;
    const before = this.#byDescriptor.get(key);
    const same = before !== undefined && start >= before.start && end <= before.end;
    const file = same ? before.file : this.#create(INODE_DISK);
    if (!same) this.#byDescriptor.set(key, { file, start, end });
    this.#grow(file, bytes);
    return file;
  }

  #create(kind: number): number {
    return this.#k.files.open(this.#k.files.createInode(kind, 0), FMODE_READ | FMODE_WRITE | FMODE_EXEC);
  }

  #grow(file: number, bytes: number): void {
    const inode = this.#k.files.inode(file);
    this.#k.files.setSize(inode, Math.max(this.#k.files.size(inode), Math.ceil(bytes / PAGE)));
  }
}
