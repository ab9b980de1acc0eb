// npm run check:publish [-- --write]
// What a third party does once the packages are published, before they are: packs all of them, scaffolds a driver from the packed
// create-driver in an empty folder outside the repository, installs, builds, tests and checks it, packs it, and loads it into the mmun of
// another folder. Needs the packages built and a registry for vitest and typescript. --write puts the transcript into docs/guide/publish.md.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const PAGE = join(root, "docs/guide/publish.md");
const [START, END] = ["<!-- transcript -->", "<!-- /transcript -->"];
/** A bundle of one small function of the sdk; all of the sdk is fifty times that. */
const MOST_BYTES = 4_000;
const SHOWN_LINES = 16;

const work = mkdtempSync(join(tmpdir(), "mmu-notifier-publish-"));
const transcript = [];

/** Runs a command of a transcript; a code that is not expected ends everything. */
function run(cwd, shown, [file, ...args], { codes = [0], show = () => true } = {}) {
  const env = { ...process.env, NO_COLOR: "1", CI: "true", npm_config_fund: "false", npm_config_audit: "false" };
  for (const name of Object.keys(env)) if (/^npm_(?!config_(cache|registry|fund|audit))/.test(name)) delete env[name];
  return new Promise((done, failed) => {
    execFile(file, args, { cwd, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (!codes.includes(code)) {
        failed(
          new Error(`${shown}\n  in ${cwd} ended with ${code}, expected ${codes.join(" or ")}\n${stdout}${stderr}`),
        );
        return;
      }
      const lines = stdout
        .replaceAll(work, "…")
        .split("\n")
        .map((line) => line.trimEnd());
      const kept = lines.filter((line) => line !== "" && show(line));
      const cut = kept.length > SHOWN_LINES ? [...kept.slice(0, SHOWN_LINES), "…"] : kept;
      transcript.push(`$ ${shown}`, ...cut, ...(code === 0 ? [] : [`(exit ${code})`]), "");
      done(stdout);
    });
  });
}

const npm = (cwd, shown, args, options) => run(cwd, shown, ["npm", ...args], options);

/** Every public package, packed; the tarballs by name. */
async function packAll() {
  const tarballs = new Map();
  const queue = readdirSync(join(root, "packages")).sort();
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const folder = join(root, "packages", name);
      const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      if (manifest.private === true) continue;
      const packed = JSON.parse(await pack(folder));
      // npm 12 gives an object keyed by package name where older versions give an array.
      tarballs.set(manifest.name, join(work, Object.values(packed)[0].filename));
    }
  };
  await Promise.all([worker(), worker()]);
  return tarballs;
}

function pack(folder) {
  return new Promise((done, failed) => {
    const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", work];
    execFile("npm", args, { cwd: folder, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      error === null ? done(stdout) : failed(new Error(`npm pack in ${folder}\n${stderr}`)),
    );
  });
}

/** Bytes of a bundle that uses one small function of the sdk. */
async function bundledBytes(folder) {
  const entry = join(folder, "one-function.mjs");
  writeFileSync(entry, 'export { alignedSpan } from "@mmu-notifier/sdk";\n');
  const { output } = await build({
    configFile: false,
    root: folder,
    logLevel: "silent",
    build: { write: false, minify: true, lib: { entry, formats: ["es"] } },
  }).then((result) => (Array.isArray(result) ? result[0] : result));
  return output.reduce((bytes, { code = "" }) => bytes + code.length, 0);
}

async function main() {
  const tarballs = await packAll();
  const files = [...tarballs.values()];
  const creator = tarballs.get("@mmu-notifier/create-driver");
  const installed = files.filter((file) => file !== creator);
  const install = ["install", "--no-save", "--prefer-offline", ...installed];
  const totals = (line) => /Test Files|Tests /.test(line);

  // The author.
  const create = (name, kind) =>
    npm(work, `npm create @mmu-notifier/driver ${name} -- --kind ${kind}`, [
      "exec",
      "--yes",
      `--package=${creator}`,
      "--",
      "create-driver",
      name,
      "--kind",
      kind,
    ]);
  const author = join(work, "acme-npu");
  await create("acme-npu", "walks");
  await npm(author, "cd acme-npu; npm install", install, { show: () => false });
  await npm(author, "npm run build", ["run", "--silent", "build"]);
  await npm(author, "npm test", ["test", "--silent"], { show: totals });
  await npm(author, "npm run check", ["run", "--silent", "check"]);
  // A device that walks the page table is stuck on kernels that tell nobody about upgrades.
  await npm(author, "npm run verdicts", ["run", "--silent", "verdicts"], { codes: [1] });
  await npm(author, "npm pack", ["pack", "--silent"]);

  const other = join(work, "acme-gpu");
  await create("acme-gpu", "mirrors");
  symlinkSync(join(author, "node_modules"), join(other, "node_modules"));
  await npm(other, "cd ../acme-gpu; npm test", ["test", "--silent"], { show: totals });
  await npm(other, "npm run check", ["run", "--silent", "check"]);
  await npm(other, "npm run verdicts", ["run", "--silent", "verdicts"]);

  // Somebody who uses the driver.
  const user = join(work, "user");
  mkdirSync(user);
  writeFileSync(join(user, "package.json"), '{ "private": true, "type": "module" }\n');
  await npm(
    user,
    "npm install @mmu-notifier/cli @mmu-notifier/sdk acme-npu",
    [...install, join(author, "acme-npu-0.1.0.tgz")],
    {
      show: () => false,
    },
  );
  await npm(user, "npx mmun list drivers", ["exec", "mmun", "list", "drivers"]);
  await npm(user, "npx mmun verdicts acme-npu --kernel v6.12 --kernel v7.3", [
    ..."exec mmun -- verdicts acme-npu --kernel v6.12 --kernel v7.3".split(" "),
  ]);
  await npm(user, "npx mmun doctor", ["exec", "mmun", "doctor"]);

  // All packages load as ES modules there, and what is not used of the sdk is not bundled.
  const names = [...tarballs.keys()].filter(
    (name) => name !== "@mmu-notifier/create-driver" && name !== "@mmu-notifier/testkit",
  );
  const imports = names.map((name) => `await import(${JSON.stringify(name)});`).join(" ");
  await run(user, "node --eval 'await import(…)' for every package", [
    process.execPath,
    "--input-type=module",
    "--eval",
    imports,
  ]);
  const bytes = await bundledBytes(user);
  if (bytes > MOST_BYTES)
    throw new Error(`one function of the sdk bundles to ${bytes} bytes, expected at most ${MOST_BYTES}`);
  console.log(
    `packed ${files.length} packages; a driver of each kind was made, tested, checked, and loaded into mmun elsewhere`,
  );
  console.log(`one function of the sdk bundles to ${bytes} bytes`);
}

try {
  await main();
  if (process.argv.includes("--write")) {
    const page = readFileSync(PAGE, "utf8");
    const from = page.indexOf(START) + START.length;
    const text = transcript.join("\n").trimEnd();
    writeFileSync(PAGE, `${page.slice(0, from)}\n\n\`\`\`text\n${text}\n\`\`\`\n\n${page.slice(page.indexOf(END))}`);
  }
} catch (error) {
  console.error(transcript.join("\n"));
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
