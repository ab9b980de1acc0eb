// Packs every public package as a release would and looks at the tarball: its files, publint, are-the-types-wrong.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const npm = process.env.npm_execpath;
const attw = join(root, "node_modules/@arethetypeswrong/cli/dist/index.js");
const target = await mkdtemp(join(tmpdir(), "mmu-notifier-pack-"));

async function pack(folder) {
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", target];
  const [file, ...rest] = npm === undefined ? ["npm", ...args] : [process.execPath, npm, ...args];
  const { stdout } = await run(file, rest, { cwd: folder });
  const packed = JSON.parse(stdout);
  // npm 12 gives an object keyed by package name where older versions give an array.
  return Object.values(packed)[0];
}

function checkFiles(manifest, files) {
  const problems = [];
  const wanted = [manifest.types, manifest.exports["."].default, ...Object.values(manifest.bin ?? {}), "README.md"];
  for (const name of wanted.map((path) => path.replace(/^\.\//, ""))) {
    if (!files.includes(name)) problems.push(`${name} is not in the tarball; run the build first`);
  }
  for (const name of files) {
    // What create-driver writes has tests of its own.
    const template = name.startsWith("template/");
    if (name.endsWith(".tsbuildinfo") || (!template && /(^|\/)(test|bench)\//.test(name)))
      problems.push(`${name} must not be packed`);
    const source = /^dist\/(.*)\.js$/.exec(name)?.[1];
    if (source !== undefined && !files.includes(`src/${source}.ts`)) {
      problems.push(`${name} has no source any more; delete dist and build again`);
    }
  }
  return problems;
}

async function check(folder) {
  const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  if (manifest.private === true) return [];
  const packed = await pack(folder);
  const tarball = join(target, packed.filename);
  const problems = checkFiles(
    manifest,
    packed.files.map((file) => file.path),
  );
  const bytes = await readFile(tarball);
  const { messages, pkg } = await publint({
    level: "suggestion",
    strict: true,
    pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) },
  });
  for (const message of messages) problems.push(`publint: ${formatMessage(message, pkg)}`);
  try {
    await run(process.execPath, [attw, tarball, "--profile", "esm-only", "--no-color", "--no-emoji"], { cwd: root });
  } catch (error) {
    problems.push(`attw: ${error.stdout}${error.stderr}`);
  }
  console.log(
    `${problems.length === 0 ? "ok  " : "FAIL"} ${manifest.name}: ${packed.files.length} files, ${packed.size} bytes`,
  );
  return problems.map((problem) => `${manifest.name}: ${problem}`);
}

const problems = [];
try {
  const names = await readdir(join(root, "packages"));
  const queue = names.sort();
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      problems.push(...(await check(join(root, "packages", name))));
    }
  };
  await Promise.all([worker(), worker()]);
} finally {
  await rm(target, { recursive: true, force: true });
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
