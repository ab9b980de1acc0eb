import { ScriptHost, type SessionOptions } from "@mmu-notifier/script";

/** A booted machine and how it was asked for. */
export interface Host {
  readonly options: SessionOptions;
  readonly machine: ScriptHost;
}

/** The machines that the scripts of a set run on, one for each recording program: booted once, put back for every script. */
export class Hosts {
  readonly #hosts = new Map<string, Host>();

  /** The machine of the records of one dialect; `options` are asked for when it is booted. */
  of(dialect: string, options: () => SessionOptions): Host {
    let host = this.#hosts.get(dialect);
    if (host === undefined) {
      const asked = options();
      host = { options: asked, machine: new ScriptHost(asked, dialect) };
      this.#hosts.set(dialect, host);
    }
    return host;
  }

  close(): void {
    for (const { machine } of this.#hosts.values()) machine.close();
  }
}
