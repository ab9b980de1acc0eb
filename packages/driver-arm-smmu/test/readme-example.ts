import armSmmu from "@mmu-notifier/driver-arm-smmu";
import { Workbench, WRITABLE_CLEAN } from "@mmu-notifier/sdk";

const bench = new Workbench({ profile: "v6.4" }); // before the patch
bench.map(3, WRITABLE_CLEAN);
const smmu = bench.device(armSmmu).bind(bench.mm);
bench.access(smmu, 3, "read"); // the IOTLB now holds page 3 read-only
console.log(bench.access(smmu, 3, "write").outcome); // { kind: 'livelock' }
