import { type Kernel, PG_ANON } from "@mmu-notifier/core";
import { Truth } from "./truth.js";

/**
 * The address space that an anonymous frame belongs to when it is not `mm`: one that maps it at page `vpn`, where a child has what
 * its parent had. 0 when there is none, or when `mm` maps it too.
 */
export function ownerOf(k: Kernel, pfn: number, mm: number, vpn: number): number {
  if (!k.pages.test(pfn, PG_ANON)) return 0;
  const truth = new Truth(k);
  if (truth.look(mm, vpn).home === pfn) return 0;
  for (let other = 1; other < k.mms.segment.used; other++)
    if (other !== mm && k.mms.isLive(other) && k.mms.users(other) > 0 && truth.look(other, vpn).home === pfn)
      return other;
  return 0;
}
