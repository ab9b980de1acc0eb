import { ScriptHost, type SessionOptions } from "@mmu-notifier/script";

/** The machines that the scripts of a set run on, one for each recording program: booted once, put back for every script. */
export class Hosts {
  readonly #hosts = new Map<string, ScriptHost>();

  /** The machine of the records of one dialect. */
  of(dialect: string, options: SessionOptions): ScriptHost {
    let host = this.#hosts.get(dialect);
    if (host === undefined) {
      host = new ScriptHost(options, dialect);
      this.#hosts.set(dialect, host);
    }
    return host;
  }

  close(): void {
    for (const host of this.#hosts.values()) host.close();
  }
}
