import { ptePfn } from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry, Variant } from "../entry.js";

const OLD = 1;
const NEW = 2;

export const asidRolloverVsTlbi: MuseumEntry = {
  id: "asid-rollover-vs-tlbi",
  number: "D9",
  year: "2021",
  title: "a flush goes to the ASID that the mm had before a rollover, another CPU walks under the new one",
  source: "a8e5e5146ad0 arm64: mm: Fix TLBI vs ASID rollover",
  class: "ASID reused (ABA)",
  swaps: "kernel",
  story:
    "A CPU clears an entry and invalidates it under the mm's ASID. Its store may still be in the store buffer when it reads the ASID. If another CPU rolls the ASIDs over at that moment, " +
    "it can read the old entry and cache it under the new ASID, which the invalidation does not name.",
  scenario:
    "The CPUs' TLBs and page tables of the model; the store buffer and the ASID word are spelled out, which the project's mm does not do. " +
    "The kernel's path is exchanged: the ASID is read while the store waits, or after a barrier.",
  expect: [{ verdict: "STALE-USE", object: "page 0", steps: 7 }],
  model: (variant) => {
    const scene = new Scene();
    const { k, mm, oracle } = scene;
    const pfn = scene.map(0);
    const asid = scene.word("mm->context.id", OLD);

    function* invalidate(which: Variant): Path {
      const readAsid = step("ldr mm->context.id", () => asid.get());
      let now = which === "buggy" ? yield readAsid : 0;
      yield scene.change("the store of 0 becomes visible", 0, () => 0);
      if (which === "fixed") now = yield readAsid;
      yield step(`tlbi vae1is, ASID ${now}; dsb ish`, () => {
        for (const cpu of [0, 1]) k.tlbs.invalidate(cpu, now, 0, 1);
        return 0;
      });
      yield scene.free(pfn);
    }
    scene.task("cpu0", function* () {
      yield* invalidate(variant);
      return null;
    });
    scene.task("cpu1", function* () {
      yield step("rollover: flush, a new ASID for the mm", () => {
        k.tlbs.invalidate(1, OLD, 0, 1);
        asid.set(NEW);
        return 0;
      });
      const walked = yield step("walk", () => {
        const pte = oracle.pte(mm, 0);
        if (pte !== 0) k.tlbs.insert(1, NEW, 0, pte, 1);
        return pte === 0 ? 0 : 1;
      });
      if (walked === 0) return null;
      yield step("cpu1 writes page 0", () => {
        const cached = k.tlbs.lookup(1, NEW, 0);
        if (cached !== 0) oracle.use({ by: "cpu1", mm, vpn: 0, pfn: ptePfn(cached), write: true });
        return 0;
      });
      return null;
    });
    return scene.model("an invalidation against a rollover", {
      reached: () => asid.get() === NEW && !k.pages.isLive(pfn),
    });
  },
};
