// The tests of both kinds as they are written, on the sources of this repository.
import "../template/walks/test/conformance.test.js";
import "../template/walks/test/driver.test.js";
import "../template/mirrors/test/conformance.test.js";
import "../template/mirrors/test/driver.test.js";
