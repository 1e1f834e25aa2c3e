// An X server of the test's own, without a screen.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Picture } from "./picture.ts";
import { environment, type Running } from "./run.ts";

const WIDTH = 640;
const HEIGHT = 480;

/**
 * Not from 0: whatever its own display is, MangoHud asks all servers from :0 to :15 whether they are NVIDIA's. libX11
 * ends it if one of them ends meanwhile, as those of other tests do at any time.
 */
const FIRST_NUMBER = 16;

type Server = Bun.Subprocess<"ignore", "pipe", Bun.BunFile>;

export class Display implements AsyncDisposable {
  /** What a program needs to find it. */
  readonly env: { DISPLAY: string; XDG_RUNTIME_DIR: string };
  private readonly server: Server;
  private readonly log: Bun.BunFile;
  private readonly directory: string;

  private constructor(server: Server, log: Bun.BunFile, number: number, directory: string) {
    this.server = server;
    this.log = log;
    this.directory = directory;
    this.env = { DISPLAY: `:${number}`, XDG_RUNTIME_DIR: directory };
  }

  /** Starts a server on the first display from FIRST_NUMBER on that is free. */
  static async start(): Promise<Display> {
    const directory = mkdtempSync(join(tmpdir(), "capsule-test-display-"));
    for (let number = FIRST_NUMBER; ; number++) {
      const log = Bun.file(join(directory, `Xvfb-${number}.log`));
      // It writes its number once it takes connections. Of several that want the same one, the kernel lets one have it.
      const screen = ["-screen", "0", `${WIDTH}x${HEIGHT}x24`];
      const argv = ["Xvfb", `:${number}`, "-displayfd", "1", ...screen, "-nolisten", "tcp", "-noreset"];
      const server = Bun.spawn(argv, { env: environment(), stdin: "ignore", stdout: "pipe", stderr: log });
      let text = "";
      const decoder = new TextDecoder();
      for await (const chunk of server.stdout) {
        text += decoder.decode(chunk);
        if (text.endsWith("\n")) break;
      }
      if (text === `${number}\n`) return new Display(server, log, number, directory);
      const problem = await log.text();
      if (!problem.includes("server already running")) throw new Error(`Xvfb did not start: ${text}${problem}`);
    }
  }

  /** What is on the screen now. */
  async picture(): Promise<Picture> {
    const argv = ["import", "-window", "root", "-depth", "8", "rgb:-"];
    const child = Bun.spawn(argv, { env: environment(this.env), stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    const [bytes, problem] = await Promise.all([child.stdout.bytes(), child.stderr.text()]);
    if ((await child.exited) !== 0)
      throw new Error(`No picture of display ${this.env.DISPLAY}: ${problem}${await this.ending()}`);
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
      if (program.hasEnded) {
        const outcome = JSON.stringify(await program.end());
        throw new Error(`It ended before it drew that on ${this.env.DISPLAY}: ${outcome}${await this.ending()}`);
      }
      if (performance.now() > late) throw new Error(`After ${timeout} ms the screen shows ${picture}`);
      await Bun.sleep(20);
    }
  }

  /** For an error's text: how the server has ended, if it has. */
  private async ending(): Promise<string> {
    // Its client may have noticed first.
    await Promise.race([this.server.exited, Bun.sleep(200)]);
    const { exitCode, signalCode } = this.server;
    if (exitCode === null && signalCode === null) return "";
    return `\nXvfb has ended, ${signalCode ?? `exit code ${exitCode}`}: ${await this.log.text()}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.kill();
    await this.server.exited;
    rmSync(this.directory, { recursive: true });
  }
}
