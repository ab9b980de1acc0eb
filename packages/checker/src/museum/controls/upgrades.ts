import { PTE_DIRTY, PTE_RDONLY, flushTlbFixSpuriousFault, ptepSetAccessFlags, SAF_CHANGED } from "@mmu-notifier/core";
import { type Path, spinLock, spinUnlock } from "@mmu-notifier/steps";
import { READ_ONLY, WRITABLE_CLEAN } from "../../scene/entry-flags.js";
import { RETRY, Scene } from "../../scene/scene.js";
import type { MuseumControl } from "../entry.js";
import { iommu } from "../parts/iommu.js";
import { mappingAfterFork, writableMapping } from "../parts/mappings.js";
import { shadowMmu } from "../parts/shadow-driver.js";

const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";

/** Controls about upgrades in place: what looks like a missing invalidation and is none. */
export const upgradeControls: readonly MuseumControl[] = [
  {
    id: "kvm-upgrade-overzap",
    about:
      "A driver that resolves missing rights in software may filter the upgrade event, and need not: without the filter its own fault zaps its own entry and tries once more, and then comes to an end.",
    explore: { liveness: "task" },
    models: [true, false].map((filters) => () => {
      const scene = new Scene({ kernel: "v6.4+upgrade-event-fixed" });
      const page = mappingAfterFork(scene);
      const ignores = ({ event }: { readonly event: string | undefined }): boolean => filters && event === UPGRADE;
      const device = scene.device(shadowMmu({ ignores }), { faults: scene.kernelFaults() });
      scene.accesses(device, page, "write");
      return scene.model(`a guest's write, ${filters ? "with" : "without"} a filter`, {
        reached: () => device.binding.entries().some(({ write }) => write),
      });
    }),
  },
  {
    id: "btm-without-ats-filters-upgrade",
    about:
      "An IOTLB that hears the CPUs' broadcast invalidations may filter the upgrade event, as long as the flush of an upgrade is broadcast.",
    explore: { liveness: "task" },
    models: [
      () => {
        const scene = new Scene({ kernel: "v6.4+upgrade-event" });
        const page = writableMapping(scene, WRITABLE_CLEAN);
        const device = scene.device(iommu({ hears: ["release"], snoops: true }), { faults: scene.kernelFaults() });
        scene.run(scene.access(device, page, "read"));
        scene.accesses(device, page, "write");
        return scene.model("a device writes a page that its IOTLB holds as read-only", {
          reached: () => device.binding.entries().some(({ write }) => !write),
        });
      },
    ],
  },
  {
    id: "mprotect-upgrade-flush-elided-refetching",
    about:
      "mprotect makes an entry writable and the architecture lets it leave the flush out: a device that asks again when a right is missing, as PCIe ATS demands, gets the new entry.",
    explore: { liveness: "task" },
    models: [
      () => {
        const scene = new Scene();
        scene.map(0, READ_ONLY);
        const device = scene.device(
          iommu({ hears: ["arch-invalidate-secondary-tlbs"], hitPolicy: "rewalk-on-permission-fault" }),
        );
        scene.run(scene.access(device, 0, "read"));
        scene.task("cpu0", function* () {
          const range = scene.range(0, 1, "MMU_NOTIFY_PROTECTION_VMA");
          yield* scene.start(range);
          yield scene.change("pte_mkwrite", 0, (pte) => scene.k.pte.mkdirty(scene.k.pte.mkwrite(pte)));
          yield* scene.end(range);
          return null;
        });
        scene.accesses(device, 0, "write");
        return scene.model("mprotect without a flush", {
          reached: () => device.binding.entries().some(({ write }) => write),
        });
      },
    ],
  },
  {
    id: "spurious-fault-after-local-flush",
    about:
      "When a CPU upgrades an entry and flushes itself only, every other CPU that has the old one takes one spurious fault, and goes on.",
    explore: { liveness: "task" },
    models: [
      () => {
        const scene = new Scene({ kernel: "v7.3" });
        scene.map(0, WRITABLE_CLEAN);
        for (const cpu of [0, 1]) scene.run(once(scene, cpu));
        for (const cpu of [0, 1]) {
          scene.task(`cpu${cpu}`, function* () {
            if ((yield scene.cpuAccess(cpu, 0, "write")) >= 0) return null;
            yield* writeFault(scene, cpu);
            return [];
          });
        }
        return scene.model("two CPUs write to a page that both hold as read-only", {
          reached: () => (scene.oracle.pte(scene.mm, 0) & PTE_RDONLY) === 0,
        });
      },
    ],
  },
];

function* once(scene: Scene, cpu: number): Path {
  yield scene.cpuAccess(cpu, 0, "read");
}

/** handle_pte_fault() for a write to a page that software may write. */
function* writeFault(scene: Scene, cpu: number): Path<number> {
  const { k, mm } = scene;
  const ptep = k.tables.leaf(k.mms.pgd(mm), 0);
  yield spinLock(scene.ptl(0));
  const wanted = (k.tables.get(ptep) | PTE_DIRTY) & ~PTE_RDONLY;
  const changed = yield* ptepSetAccessFlags(k, cpu, mm, 0, ptep, wanted, true, "handle_pte_fault");
  if ((changed & SAF_CHANGED) === 0) yield* flushTlbFixSpuriousFault(k, cpu, mm, 0);
  yield spinUnlock(scene.ptl(0));
  return RETRY;
}
