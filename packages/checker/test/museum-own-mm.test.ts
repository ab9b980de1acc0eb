import {
  clearRefs,
  MADV_DONTNEED,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  PTE_SOFT_DIRTY,
  sysFtruncate,
  sysMadvise,
  sysMmap,
  sysMprotect,
  sysMremap,
  userAccess,
} from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { exploreScene, iommu, Scene, type SceneModel } from "../src/index.js";

const VALUE = 9;

/** One page, mapped by mmap(2) and written once by each of the CPUs. */
function mapped(
  cpus: readonly number[],
  sharing = MAP_PRIVATE,
  options: ConstructorParameters<typeof Scene>[0] = {},
): Scene {
  const scene = new Scene(options);
  const { k, mm, oracle } = scene;
  const flags = sharing | MAP_ANONYMOUS | MAP_FIXED;
  scene.run(sysMmap(k, { cpu: 0, mm }, { address: 0, length: PAGE_SIZE, prot: PROT_READ | PROT_WRITE, flags }));
  for (const cpu of cpus) scene.run(userAccess(k, { cpu, mm }, 0, "write", 1));
  oracle.owns(oracle.frameOf(mm, 0), mm);
  return scene;
}

function* returning(scene: Scene, call: Path<number>, name: string): Path<null> {
  yield* call;
  yield scene.returns(name, 0);
  return null;
}

/** The museum's bugs of kernel paths, put to the project's own system calls. */
const SCENES: Readonly<Record<string, () => SceneModel>> = {
  "dontneed-vs-pending-flush": () => {
    const scene = mapped([0, 1, 2], MAP_PRIVATE, { config: { cpus: 3 } });
    const { k, mm, oracle } = scene;
    for (const cpu of [0, 1]) {
      scene.task(`cpu${cpu}`, () =>
        returning(scene, sysMadvise(k, { cpu, mm }, 0, PAGE_SIZE, MADV_DONTNEED), "madvise"),
      );
    }
    scene.task("cpu2", function* () {
      yield scene.cpuAccess(2, 0, "write", VALUE);
      return null;
    });
    return scene.model("two MADV_DONTNEED", { reached: () => oracle.frameOf(mm, 0) === 0 });
  },
  "soft-dirty-tlb-elided": () => {
    const scene = mapped([0, 1], MAP_PRIVATE, { kernel: "v6.4", arch: "x86-64", config: { softDirty: true } });
    const { k, mm, oracle } = scene;
    const over = scene.word("clear_refs has returned");
    scene.task("cpu0", function* () {
      yield* clearRefs(k, { cpu: 0, mm }, 4);
      yield step("clear_refs returns", (task) => {
        scene.returns("clear_refs", 0).run(task);
        oracle.wrote(mm, 0, 0);
        over.set(1);
        return 0;
      });
      return null;
    });
    scene.task("cpu1", function* () {
      yield scene.cpuAccess(1, 0, "write", VALUE);
      return null;
    });
    return scene.model("clear_refs against a writer", {
      invariants: [
        {
          name: "page 0",
          verdict: "LOST-DIRTY",
          holds: () => over.get() === 0 || oracle.written(mm, 0) === 0 || (oracle.pte(mm, 0) & PTE_SOFT_DIRTY) !== 0,
        },
      ],
      reached: () => over.get() !== 0,
    });
  },
  "mremap-flush-after-unlock": () => {
    const scene = mapped([0, 1], MAP_SHARED);
    const { k, mm, oracle } = scene;
    const pfn = oracle.frameOf(mm, 0);
    const file = k.vmas.file(k.vmas.lookup(k.mms.vmaList(mm), 0));
    const to = 4 * PAGE_SIZE;
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    scene.task("cpu0", () =>
      returning(scene, sysMremap(k, { cpu: 0, mm }, 0, PAGE_SIZE, PAGE_SIZE, flags, to), "mremap"),
    );
    scene.task("truncate", function* () {
      yield* sysFtruncate(k, { cpu: 0, mm }, file, 0);
      return null;
    });
    scene.task("cpu1", function* () {
      yield scene.cpuAccess(1, 0, "write");
      return null;
    });
    return scene.model("mremap against ftruncate", { reached: () => !k.pages.isLive(pfn) });
  },
  "mprotect against a reclaim that puts its flushes off": () => {
    const scene = mapped([0, 1]);
    const { k, mm, oracle } = scene;
    scene.task("reclaim", function* () {
      yield* sysMadvise(k, { cpu: 0, mm }, 0, PAGE_SIZE, MADV_PAGEOUT);
      return null;
    });
    scene.task("cpu0", () => returning(scene, sysMprotect(k, { cpu: 0, mm }, 0, PAGE_SIZE, PROT_READ), "mprotect"));
    scene.task("cpu1", function* () {
      yield scene.cpuAccess(1, 0, "write");
      return null;
    });
    return scene.model("reclaim against mprotect", { reached: () => oracle.frameOf(mm, 0) === 0 });
  },
  "hw-walker-with-start-end-only, with the hook": () => {
    const scene = mapped([0]);
    const { k, mm, oracle } = scene;
    const device = scene.device(iommu({ hears: ["arch-invalidate-secondary-tlbs"] }));
    scene.run(scene.access(device, 0, "read"));
    scene.task("cpu0", () => returning(scene, sysMadvise(k, { cpu: 0, mm }, 0, PAGE_SIZE, MADV_DONTNEED), "madvise"));
    scene.accesses(device, 0, "write");
    return scene.model("MADV_DONTNEED under a device", { reached: () => oracle.frameOf(mm, 0) === 0 });
  },
};

describe("the project's own mm does not have", () => {
  it.each(Object.entries(SCENES))("%s", (_name, model) => {
    const { complete, found, reached, states } = exploreScene(model());

    expect([complete, reached, found.map(({ verdict, what }) => `${verdict}: ${what}`)]).toEqual([true, true, []]);
    expect(states).toBeGreaterThan(40);
  });
});
