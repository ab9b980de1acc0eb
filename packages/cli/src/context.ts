import pc from "picocolors";

type Colors = ReturnType<typeof pc.createColors>;

/** What a command prints to and knows of its terminal. */
export interface Context {
  readonly colors: Colors;
  /** Columns of the terminal; 100 when there is none. */
  readonly width: number;
  /** Somebody looks at stderr while the command runs: a progress bar makes sense. */
  readonly interactive: boolean;
  /** Writes to stdout. */
  print(text: string): void;
  /** Writes to stderr. */
  warn(text: string): void;
}

/** The context of this process: colours only on a terminal, and not with NO_COLOR. */
export function processContext(): Context {
  const { env, stdout, stderr } = process;
  const noColor = (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  const forced = (env["FORCE_COLOR"] ?? "") !== "" && env["FORCE_COLOR"] !== "0";
  const colored = forced || (stdout.isTTY && !noColor);
  return {
    colors: pc.createColors(colored),
    // A terminal that does not know its size says 0.
    width: stdout.isTTY && stdout.columns > 0 ? stdout.columns : 100,
    interactive: stderr.isTTY && (env["CI"] ?? "") === "",
    print: (text) => void stdout.write(`${text}\n`),
    warn: (text) => void stderr.write(`${text}\n`),
  };
}
