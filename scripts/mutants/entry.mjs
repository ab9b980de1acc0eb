// How an entry of the table is made. `find` stands in the built file exactly once.
const driven = (driver) => (says, file, find, replace, more) => ({ driver, file, says, find, replace, ...more });

/** Mistakes that one driver is put through what its author runs with. */
export const smmu = driven("arm-smmu");
export const btm = driven("iommu-btm");
export const kvm = driven("kvm");
export const hmm = driven("hmm-gpu");

/** A mistake that tests of a package are to catch: Vitest's filters. */
export const tested = (tests, file, says, find, replace) => ({ tests, file, says, find, replace });
