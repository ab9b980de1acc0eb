// Keeps the documentation's code true: what docs/ shows of TypeScript compiles, what it shows of commands is what they print.
// Needs the packages built. `--update` writes the output of the commands into the pages.
//
//   ```ts with a first line `// name.ts`   a module, compiled against the packages; every ```ts block of docs/ is one
//   ```ts of a README that imports         the same
//   <<< @/../examples/NAME/src/FILE.ts     a file of an example: it is built and tested there, here it has to exist
//   ```console, lines `$ mmun …`           run in the repository's root; the lines below are its output, `…` for any lines
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const TSC = "node_modules/typescript/bin/tsc";
const MMUN = "packages/cli/dist/main.js";
const CHECKED = "node_modules/.cache/docs-code";
const SKIPPED = /(^|\/)(api|node_modules|\.vitepress|dist)\//;

/** The pages of docs/ and the READMEs of the repository, its packages and its examples. */
export function pagesOf(root) {
  const under = (folder) =>
    existsSync(join(root, folder))
      ? readdirSync(join(root, folder), { recursive: true }).map((name) =>
          join(folder, String(name)).replaceAll(sep, "/"),
        )
      : [];
  const pages = under("docs").filter((path) => path.endsWith(".md"));
  const readmes = [...under("packages"), ...under("examples")].filter((path) => /^\w+\/[\w-]+\/README\.md$/.test(path));
  return ["README.md", ...pages, ...readmes]
    .filter((path) => existsSync(join(root, path)) && !SKIPPED.test(path))
    .sort();
}

/** Fenced blocks with their language, their text and the line that the text begins on. */
export function blocksOf(markdown) {
  const lines = markdown.split("\n");
  const blocks = [];
  for (let at = 0; at < lines.length; at++) {
    const opened = /^(`{3,})(\w*)/.exec(lines[at]);
    if (opened === null) continue;
    const from = at + 1;
    at = lines.indexOf(opened[1], from);
    if (at < 0) break;
    blocks.push({ language: opened[2], text: lines.slice(from, at).join("\n"), line: from + 1 });
  }
  return blocks;
}

/** The ```ts blocks of a page that are compiled, and what is wrong with the others. */
export function modulesOf(path, markdown) {
  const modules = [];
  const problems = [];
  for (const { language, text, line } of blocksOf(markdown)) {
    if (language !== "ts") continue;
    const name = /^\/\/ ([\w./-]+\.ts)\n/.exec(text)?.[1];
    if (name === undefined && path.startsWith("docs/")) {
      problems.push(
        `${path}:${line}: a ts block of the documentation begins with \`// name.ts\`, so that it is compiled`,
      );
    }
    if (name !== undefined || /^import /m.test(text)) modules.push({ path, line, text, name });
  }
  return { modules, problems };
}

/** Included files that do not exist. VitePress prints a line into the page and builds on. */
export function brokenIncludes(root, path, markdown) {
  const problems = [];
  for (const [index, text] of markdown.split("\n").entries()) {
    const snippet = /^<<< @\/([^{#\s]+)(?:#([\w-]+))?/.exec(text);
    const included = /<!--\s*@include: (\S+?)(?:\{.*)?\s*-->/.exec(text);
    const [file, region] =
      snippet !== null
        ? [join(root, "docs", snippet[1]), snippet[2]]
        : included !== null
          ? [resolve(root, dirname(path), included[1])]
          : [];
    if (file === undefined) continue;
    const shown = relative(root, file).replaceAll(sep, "/");
    if (!existsSync(file)) problems.push(`${path}:${index + 1}: there is no ${shown}`);
    else if (region !== undefined && !readFileSync(file, "utf8").includes(`#region ${region}\n`)) {
      problems.push(`${path}:${index + 1}: ${shown} has no region ${region}`);
    }
  }
  return problems;
}

/** The commands of a ```console block with the output below each. */
export function commandsOf({ text, line }) {
  const commands = [];
  for (const [index, shown] of text.split("\n").entries()) {
    if (shown.startsWith("$ ")) commands.push({ command: shown.slice(2), line: line + index, output: [] });
    else commands.at(-1)?.output.push(shown);
  }
  return commands;
}

/** Whether `printed` is what a page shows, where a line `…` stands for any lines. */
export function shows(output, printed) {
  const escape = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const pattern = output.map((line) => (line.trim() === "…" ? String.raw`(?:.*\n)*` : `${escape(line)}\\n`)).join("");
  return new RegExp(`^${pattern}$`).test(printed.map((line) => `${line}\n`).join(""));
}

/** Words of a command line; the only quotes are double ones around a word. */
function wordsOf(command) {
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);
}

function run(root, command) {
  const [program, ...args] = wordsOf(command);
  const script = program === "mmun" ? [MMUN] : program === "node" ? [] : undefined;
  if (script === undefined) return Promise.resolve([`a page shows commands of mmun and node only, not ${program}`]);
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, COLUMNS: undefined };
  return new Promise((done) => {
    execFile(
      process.execPath,
      [...script, ...args],
      { cwd: root, env, maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        const lines = `${stdout}${stderr}`.replace(/\n$/, "").split("\n");
        done(lines.map((line) => line.trimEnd()));
      },
    );
  });
}

function compile(root, modules) {
  const folder = join(root, CHECKED);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const origins = new Map();
  for (const [index, module] of modules.entries()) {
    const file = `${index}.ts`;
    origins.set(file, module);
    writeFileSync(join(folder, file), `${module.text}\nexport {};\n`);
  }
  const compilerOptions = {
    composite: false,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
    noEmit: true,
    types: ["node"],
  };
  const config = { extends: "../../../tsconfig.base.json", compilerOptions, include: ["*.ts"] };
  writeFileSync(join(folder, "package.json"), `{ "type": "module" }\n`);
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const { stdout } = spawnSync(process.execPath, [TSC, "-p", CHECKED, "--pretty", "false"], {
    cwd: root,
    encoding: "utf8",
  });
  rmSync(folder, { recursive: true, force: true });
  return stdout
    .split("\n")
    .filter((line) => /error TS/.test(line))
    .map((line) => {
      const [, file, row, rest] = /([\w]+\.ts)\((\d+),\d+\): (.*)$/.exec(line) ?? [];
      const module = origins.get(file);
      return module === undefined ? line : `${module.path}:${module.line + Number(row) - 1}: ${rest}`;
    });
}

/** Runs the commands of a page, two at a time, and says which of them print something else. */
async function checkCommands(root, path, markdown, update) {
  const commands = blocksOf(markdown)
    .filter(({ language }) => language === "console")
    .flatMap(commandsOf);
  const queue = commands.keys();
  const worker = async () => {
    for (const index of queue) commands[index].printed = await run(root, commands[index].command);
  };
  await Promise.all([worker(), worker()]);
  const differing = commands.filter(({ output, printed }) => !shows(output, printed));
  if (update && differing.length > 0) {
    const lines = markdown.split("\n");
    for (const { line, output, printed } of differing.reverse()) lines.splice(line, output.length, ...printed);
    writeFileSync(join(root, path), lines.join("\n"));
    return { count: commands.length, problems: [] };
  }
  const problems = differing.map(
    ({ command, line, printed }) =>
      `${path}:${line}: \`${command}\` prints something else (npm run docs:check -- --update writes it):\n${printed.join("\n")}`,
  );
  return { count: commands.length, problems };
}

async function main(root, update) {
  const problems = [];
  const modules = [];
  let commands = 0;
  for (const path of pagesOf(root)) {
    const markdown = readFileSync(join(root, path), "utf8");
    const found = modulesOf(path, markdown);
    modules.push(...found.modules);
    problems.push(...found.problems, ...brokenIncludes(root, path, markdown));
    const checked = await checkCommands(root, path, markdown, update);
    commands += checked.count;
    problems.push(...checked.problems);
  }
  problems.push(...compile(root, modules));
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
  else console.log(`documentation: ${modules.length} code blocks compile, ${commands} commands print what is shown`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(fileURLToPath(new URL("..", import.meta.url)), process.argv.includes("--update"));
}
