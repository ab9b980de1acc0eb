import { fileURLToPath } from "node:url";

const at = (name: string): string => fileURLToPath(new URL(`../traces/${name}`, import.meta.url));

/**
 * Paths of the traces that come with this package; traces/PROVENANCE.md says how they were recorded.
 *
 * @public
 */
export const shippedTraces = {
  /** A heap that is forked for snapshots while its owner writes: copies and silent upgrades. */
  snapshot: at("snapshot.trace.gz"),
  /** A database in a shared file mapping: write-protection by msync, silent upgrades. */
  mmapdb4k: at("mmapdb4k.trace.gz"),
  /** An ordinary program: `git log -p`. */
  git: at("git.trace.gz"),
  /** Page accesses of a small C program. */
  helloPages: at("hello.pages.zst"),
} as const;
