import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { shippedRegistry } from "../registry.js";
import { summarizeTrace, type TraceSummary } from "./traces.js";

/** The thread of one trace: traceSummaries() starts it with the trace's number and waits for its summary. */
function answer(port: MessagePort, summary: TraceSummary): void {
  const send = port.postMessage.bind(port);
  send(summary);
}

const summary = await summarizeTrace(Number(workerData), await shippedRegistry());
if (parentPort !== null) answer(parentPort, summary);
