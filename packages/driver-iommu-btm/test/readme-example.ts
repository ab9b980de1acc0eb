import iommuBtm from "@mmu-notifier/driver-iommu-btm";
import { Workbench, WRITABLE_CLEAN } from "@mmu-notifier/sdk";

const bench = new Workbench({ profile: "v7.3" }); // arm64 flushes upgrades on the local CPU only
bench.map(3, WRITABLE_CLEAN);
const iommu = bench.device(iommuBtm, { protectionUpgrade: "filter" }).bind(bench.mm);
bench.access(iommu, 3, "read");
console.log(bench.access(iommu, 3, "write").outcome); // { kind: 'livelock' }
