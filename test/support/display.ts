// An X server of the test's own, without a screen.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Picture } from "./picture.ts";
import { environment, type Running } from "./run.ts";

const WIDTH = 640;
const HEIGHT = 480;

export class Display implements AsyncDisposable {
  /** What a program needs to find it. */
  readonly env: { DISPLAY: string; XDG_RUNTIME_DIR: string };
  private readonly server: Bun.Subprocess<"ignore", "pipe", Bun.BunFile>;
  private readonly directory: string;

  private constructor(server: Bun.Subprocess<"ignore", "pipe", Bun.BunFile>, number: number, directory: string) {
    this.server = server;
    this.directory = directory;
    this.env = { DISPLAY: `:${number}`, XDG_RUNTIME_DIR: directory };
  }

  /** Starts a server on the first display that is free. */
  static async start(): Promise<Display> {
    // It writes the number that it has chosen once it takes connections.
    const argv = ["Xvfb", "-displayfd", "1", "-screen", "0", `${WIDTH}x${HEIGHT}x24`, "-nolisten", "tcp", "-noreset"];
    const directory = mkdtempSync(join(tmpdir(), "capsule-test-display-"));
    const log = Bun.file(join(directory, "Xvfb.log"));
    const server = Bun.spawn(argv, { env: environment(), stdin: "ignore", stdout: "pipe", stderr: log });
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of server.stdout) {
      text += decoder.decode(chunk);
      if (text.endsWith("\n")) break;
    }
    if (!/^\d+\n$/.test(text)) throw new Error(`Xvfb did not start: ${text}${await log.text()}`);
    return new Display(server, Number(text), directory);
  }

  /** What is on the screen now. */
  async picture(): Promise<Picture> {
    const argv = ["import", "-window", "root", "-depth", "8", "rgb:-"];
    const child = Bun.spawn(argv, { env: environment(this.env), stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    const [bytes, problem] = await Promise.all([child.stdout.bytes(), child.stderr.text()]);
    if ((await child.exited) !== 0) throw new Error(`No picture of display ${this.env.DISPLAY}: ${problem}`);
    return new Picture(WIDTH, HEIGHT, bytes);
  }

  /**
   * The first picture that is as wanted, of what `program` draws. Throws if that ends, or after `timeout` milliseconds,
   * without one.
   */
  async until(isWanted: (picture: Picture) => boolean, program: Running, timeout = 20_000): Promise<Picture> {
    const late = performance.now() + timeout;
    for (;;) {
      const picture = await this.picture();
      if (isWanted(picture)) return picture;
      if (program.hasEnded) throw new Error(`It ended before it drew that: ${JSON.stringify(await program.end())}`);
      if (performance.now() > late) throw new Error(`After ${timeout} ms the screen shows ${picture}`);
      await Bun.sleep(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.kill();
    await this.server.exited;
    rmSync(this.directory, { recursive: true });
  }
}
