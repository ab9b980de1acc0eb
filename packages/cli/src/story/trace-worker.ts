import { parentPort, workerData } from "node:worker_threads";
import { shippedRegistry } from "../registry.js";
import { summarizeTrace } from "./traces.js";

// The thread of one trace: traceSummaries() starts it with the trace's number and waits for its summary.
parentPort?.postMessage(await summarizeTrace(Number(workerData), await shippedRegistry()));
