// The floor rule: a package imports only from the floors below it, by name, and declares what it imports.
// Reads every source, test and bench file of packages/ and examples/ with a parser, so comments and strings do not count.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSync } from "vite";

const SCOPE = "@mmu-notifier/";

const FLOORS = {
  steps: 0,
  bus: 1,
  core: 2,
  sdk: 3,
  machine: 4,
  script: 5,
  conformance: 6,
  checker: 6,
  replay: 6,
  testkit: 7,
  cli: 8,
  studio: 8,
  "create-driver": 8,
};
const DRIVER_FLOOR = 4;
const EXAMPLE_FLOOR = 9;

const isDriver = (name) => name.startsWith("driver-");

/** Clocks and chance make two runs differ. These places only report on a run, so they may look at a clock. */
const MAY_READ_CLOCK = [/^packages\/cli\/src\//, /^packages\/replay\/src\/(.*\/)?progress[^/]*\.ts$/];
const CLOCKS = new Set(["Date.now", "Math.random", "performance.now"]);

function floorOf(name) {
  return isDriver(name) ? DRIVER_FLOOR : FLOORS[name];
}

/** Why `from` may not import the package `to`, and what to do about it; undefined when it may. */
function brokenRule(from, to) {
  if (from.name === to) return `a package does not import itself by name; use a relative import`;
  const floor = floorOf(to);
  if (floor === undefined) return `there is no package ${SCOPE}${to} in the floor table of scripts/check-floors.mjs`;
  if (isDriver(from.name) && to !== "sdk") {
    return `a driver imports ${SCOPE}sdk only; if the sdk does not offer this, export it from the sdk`;
  }
  if (isDriver(to) && from.name !== "cli" && from.floor !== EXAMPLE_FLOOR) {
    return `only the cli and the examples name a shipped driver; take the driver as an argument instead`;
  }
  if (floor >= from.floor) {
    return (
      `${from.name} is on floor ${from.floor} and ${to} on floor ${floor}, and imports go downward only; ` +
      `move the shared part to a lower floor, or pass it in from above`
    );
  }
  return undefined;
}

function* nodesOf(node) {
  if (typeof node !== "object" || node === null) return;
  if (typeof node.type === "string") yield node;
  for (const child of Object.values(node)) yield* nodesOf(child);
}

/** The module that a node of the syntax tree names, if it names one. */
function importedBy(node) {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportNamedDeclaration":
    case "ExportAllDeclaration":
    case "ImportExpression":
    case "TSImportType":
      return node.source?.value;
    case "TSExternalModuleReference":
      return node.expression.value;
    case "CallExpression":
      return node.callee.name === "require" ? node.arguments[0]?.value : undefined;
    default:
      return undefined;
  }
}

/** "Date.now" for that expression, "new Date()" for a Date of the present moment. */
function clockReadBy(node) {
  if (node.type === "MemberExpression" && node.object.type === "Identifier") {
    const name = `${node.object.name}.${node.property.name ?? node.property.value}`;
    return CLOCKS.has(name) ? name : undefined;
  }
  if (node.type === "NewExpression" && node.callee.name === "Date" && node.arguments.length === 0) return "new Date()";
  return undefined;
}

function filesIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.[cm]?[jt]sx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => !file.includes(`${sep}node_modules${sep}`))
    .sort();
}

function readPackages(root) {
  const packages = [];
  for (const group of ["packages", "examples"]) {
    if (!existsSync(join(root, group))) continue;
    for (const folder of readdirSync(join(root, group)).sort()) {
      const manifestFile = join(root, group, folder, "package.json");
      if (!existsSync(manifestFile)) continue;
      packages.push({
        name: folder,
        path: `${group}/${folder}`,
        floor: group === "examples" ? EXAMPLE_FLOOR : floorOf(folder),
        manifest: JSON.parse(readFileSync(manifestFile, "utf8")),
        manifestText: readFileSync(manifestFile, "utf8"),
      });
    }
  }
  return packages;
}

function lineAt(text, offset) {
  return text.slice(0, offset).split("\n").length;
}

/** Returns one text a problem: "file:line: what is wrong; what to do". */
export function checkFloors(root) {
  const problems = [];
  const report = (file, line, text) => problems.push(`${relative(root, file).replaceAll(sep, "/")}:${line}: ${text}`);

  for (const from of readPackages(root)) {
    const folder = join(root, from.path);
    const manifestFile = join(folder, "package.json");
    if (from.floor === undefined) {
      report(manifestFile, 1, `${from.path} has no floor; give it one in scripts/check-floors.mjs`);
      continue;
    }
    const declared = new Set();
    for (const key of ["dependencies", "peerDependencies", "optionalDependencies"]) {
      for (const name of Object.keys(from.manifest[key] ?? {})) {
        declared.add(name);
        const line = lineAt(
          from.manifestText,
          from.manifestText.indexOf(`"${name}"`, from.manifestText.indexOf(`"${key}"`)),
        );
        if (from.name === "steps") report(manifestFile, line, `steps depends on nothing; remove "${name}"`);
        if (!name.startsWith(SCOPE)) continue;
        const broken = brokenRule(from, name.slice(SCOPE.length));
        if (broken !== undefined) report(manifestFile, line, `"${name}": ${broken}`);
      }
    }
    checkReferences(root, from, declared, report);

    for (const part of ["src", "test", "bench"]) {
      for (const file of filesIn(join(folder, part))) checkFile({ root, from, folder, part, file, declared, report });
    }
  }
  return problems;
}

/** `tsc -b` builds in the order of the project references: they have to say what package.json says. */
function checkReferences(root, from, declared, report) {
  const file = join(root, from.path, "tsconfig.json");
  if (!existsSync(file)) return;
  const text = readFileSync(file, "utf8");
  const references = new Set(
    (JSON.parse(text).references ?? []).map(({ path }) => `${SCOPE}${path.split("/").at(-1)}`),
  );
  for (const name of declared) {
    if (name.startsWith(SCOPE) && !references.has(name)) {
      report(file, 1, `${name} is a dependency in package.json but not a reference here; add it to "references"`);
    }
  }
  for (const name of references) {
    if (!declared.has(name)) {
      report(
        file,
        1,
        `${name} is a reference here but not a dependency in package.json; add it there or remove it here`,
      );
    }
  }
  const rootFile = join(root, "tsconfig.build.json");
  const listed = JSON.parse(readFileSync(rootFile, "utf8")).references.map(({ path }) => path.replace(/^\.\//, ""));
  if (!listed.includes(from.path)) report(rootFile, 1, `${from.path} is not built; add it to "references"`);
}

function checkFile({ root, from, folder, part, file, declared, report }) {
  const text = readFileSync(file, "utf8");
  const path = relative(root, file).replaceAll(sep, "/");
  const { program, errors } = parseSync(file, text);
  for (const error of errors)
    report(file, lineAt(text, error.labels?.[0]?.start ?? 0), `does not parse: ${error.message}`);
  const isModel = part === "src" && path.startsWith("packages/") && !MAY_READ_CLOCK.some((place) => place.test(path));

  for (const node of nodesOf(program)) {
    const line = () => lineAt(text, node.start);
    const clock = clockReadBy(node);
    if (clock !== undefined && isModel) {
      report(file, line(), `${clock} makes two runs differ; take the time, or a seeded source, as an argument`);
    }
    const specifier = importedBy(node);
    if (typeof specifier === "string") {
      const problem = checkImport({ from, folder, part, file, specifier, declared });
      if (problem !== undefined) report(file, line(), `"${specifier}": ${problem}`);
    }
  }
}

function checkImport({ from, folder, part, file, specifier, declared }) {
  if (specifier.startsWith(".")) {
    const target = resolve(dirname(file), specifier);
    if (!target.startsWith(folder + sep)) return `leaves the package; import the other package by its name`;
    if (part === "src" && !target.startsWith(join(folder, "src") + sep) && !target.endsWith("package.json")) {
      return `leaves src, which alone is built and published; move the file there`;
    }
    return undefined;
  }
  if (specifier.startsWith(SCOPE)) {
    const [name, ...rest] = specifier.slice(SCOPE.length).split("/");
    if (rest.length > 0 && rest.join("/") !== "package.json") {
      return `reaches inside another package; import from "${SCOPE}${name}" and export what is missing there`;
    }
    // A test may bring in anything that its package does not depend on in production.
    if (part !== "src") return undefined;
    const broken = brokenRule(from, name);
    if (broken !== undefined) return broken;
    if (!declared.has(SCOPE + name)) return `is not in the "dependencies" of ${from.path}/package.json; add it`;
    return undefined;
  }
  if (from.name === "steps" && part === "src") return `steps imports nothing; take what you need as an argument`;
  return undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = checkFloors(fileURLToPath(new URL("..", import.meta.url)));
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) {
    console.error(`\nfloor rule: ${problems.length} broken`);
    process.exitCode = 1;
  } else {
    console.log("floor rule: every import goes down and by name");
  }
}
