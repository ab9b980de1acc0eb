// Who says whether a mutant is caught. Each answers { by, what }, without `by` when nothing catches it, or { broken } when it cannot say.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const at = (file) => fileURLToPath(new URL(file, import.meta.url));
/** A judge that runs this long waits for something that a mutant took away. */
const LIMIT = 240_000;

/** What the author of the mutant's driver runs, or the tests that the mutant names. */
export function judge({ driver, arch = "arm64", tests, ...mutant }) {
  return tests === undefined ? byDriver(driver, arch, mutant) : byTests(tests, mutant);
}

async function byDriver(driver, arch, mutant) {
  const args = ["--no-warnings", "--import", at("register.mjs"), at("judge.mjs"), driver, arch];
  const { status, stdout, stderr, ended } = await run(args, mutant);
  if (!ended) return { by: "does not end", what: `after ${LIMIT / 1000} s` };
  // A judge that cannot run has judged nothing: the mutant's text is not in the file, or the packages are not built.
  if (status !== 0) return { broken: stderr.split("\n").find((line) => line.includes("Error")) ?? stderr };
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

async function byTests(tests, mutant) {
  const vitest = at("../../node_modules/vitest/vitest.mjs");
  // In a thread, which ends with its process also when a mutant loops for ever.
  const options = ["--config", at("vitest.config.mjs"), "--pool", "threads", "--bail", "1", "--reporter", "json"];
  const { stdout, stderr, ended } = await run([vitest, "run", tests, ...options], mutant);
  if (!ended) return { by: "does not end", what: `after ${LIMIT / 1000} s` };
  const from = stdout.indexOf('{"numTotalTestSuites"');
  if (from < 0) return { broken: stderr || stdout };
  const { testResults } = JSON.parse(stdout.slice(from).split("\n")[0]);
  if (testResults.length === 0) return { broken: `no test file is called ${tests}` };
  for (const { name, message, assertionResults } of testResults) {
    const by = name.replace(/^.*\/packages\//, "").replace("/test/", "/");
    const failed = assertionResults.find(({ status }) => status === "failed");
    if (failed !== undefined) return { by, what: failed.fullName };
    if (message !== "") {
      if (message.includes("the mutant's text")) return { broken: message };
      return { by, what: message.split("\n")[0] };
    }
  }
  return {};
}

function run(args, mutant) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      env: { ...process.env, MUTANT: JSON.stringify(mutant) },
      timeout: LIMIT,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => (stdout += data));
    child.stderr.on("data", (data) => (stderr += data));
    child.on("close", (status, signal) => resolve({ status, stdout, stderr, ended: signal === null }));
  });
}
