import {
  contptePtepGet,
  pteMkyoung,
  PTE_AF,
  PTE_CONT,
  PTE_DIRTY,
  PTE_RDONLY,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
  ptepSetAccessFlags,
} from "@mmu-notifier/core";
import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry, Variant } from "../entry.js";
import { iommu } from "../parts/iommu.js";

const CLEAN = PTE_VALID | PTE_USER | PTE_AF | PTE_WRITE | PTE_RDONLY | PTE_CONT;
const DIRTY = PTE_VALID | PTE_USER | PTE_AF | PTE_WRITE | PTE_DIRTY | PTE_CONT;
const WRITTEN_PAGE = 3;
const DEVICE_PAGE = 5;

export const contpteGatheredNoopLoop: MuseumEntry = {
  id: "contpte-gathered-noop-loop",
  number: "A10",
  year: "2026",
  title: 'arm64 decides "nothing to do" from the whole contiguous block, the SMMU reads one entry of it',
  source: "97c5550b7631 arm64: contpte: fix set_access_flags() no-op check for SMMU/ATS faults",
  class: "wrong no-op test",
  swaps: "kernel",
  story:
    "Sixteen entries are folded into a contiguous block. A CPU has written to one of them, so that one is dirty; the others are still read-only to hardware. " +
    "A device writes through another, and faults. The fault handler gathers young and dirty over the block, finds what it wants already there, and changes nothing. The device faults for ever.",
  scenario:
    "arm64's folded blocks on real page tables, and a walker that uses exactly the entry of its page. The kernel's path is exchanged: compare the gathered entry, " +
    "or the model's own contpte_ptep_set_access_flags(), which looks at each of the sixteen.",
  expect: [{ verdict: "LIVELOCK", object: "dev0", steps: 11 }],
  explore: { liveness: "task" },
  model: (variant) => {
    const scene = new Scene({ kernel: "v6.18", geometry: { bits: [4, 2] } });
    const head = scene.k.pages.alloc(4);
    for (let page = 0; page < 16; page++) scene.map(page, page === WRITTEN_PAGE ? DIRTY : CLEAN, { pfn: head + page });
    const device = scene.device(iommu({ hears: ["arch-invalidate-secondary-tlbs"] }), {
      faults: { ...scene.hostFaults(), handleMmFault: (vpn) => setAccessFlags(scene, vpn, variant) },
    });
    scene.accesses(device, DEVICE_PAGE, "write");
    return scene.model("a device writes to a page of a contiguous block", {
      reached: () => device.context.costs.of("faults") > 0 || device.binding.entries().length > 0,
    });
  },
};

/** handle_pte_fault() for a write, as far as it matters here. */
function* setAccessFlags(scene: Scene, vpn: number, variant: Variant): Path<number> {
  const { k, mm } = scene;
  const ptep = k.tables.leaf(k.mms.pgd(mm), vpn);
  yield spinLock(scene.ptl(vpn));
  const gathered = yield step("contpte_ptep_get", () => contptePtepGet(k, vpn, ptep));
  const wanted = pteMkyoung(k.pte.mkdirty(gathered));
  if (variant === "fixed" || wanted !== gathered)
    yield* ptepSetAccessFlags(k, 0, mm, vpn, ptep, wanted, true, "handle_pte_fault");
  yield spinUnlock(scene.ptl(vpn));
  return 0;
}
