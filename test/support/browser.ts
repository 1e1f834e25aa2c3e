// A headless Chromium, spoken to by the DevTools protocol (chromedevtools.github.io/devtools-protocol): a page in it
// that can be asked, clicked, and typed into, and whose errors are kept.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

export interface Window {
  readonly width?: number;
  readonly height?: number;
  readonly isDark?: boolean;
  readonly withoutScripts?: boolean;
}

export class Browser implements AsyncDisposable {
  static async start(): Promise<Browser> {
    const directory = mkdtempSync(join(tmpdir(), "capsule-chromium-"));
    const options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"];
    const child = Bun.spawn(["chromium", ...options, `--user-data-dir=${directory}`, "about:blank"], {
      stdout: "ignore",
      stderr: "pipe",
      env: { ...process.env, HOME: directory },
    });
    let told = "";
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
      told += part;
      const [, address] = /DevTools listening on (ws:\S+)/.exec(told) ?? [];
      if (address !== undefined) return new Browser(child, directory, new URL(address).host);
    }
    throw new Error(`chromium ended with ${await child.exited}\n${told}`);
  }

  private constructor(
    readonly child: Subprocess,
    readonly directory: string,
    readonly host: string,
  ) {}

  async open(url: string, window: Window = {}): Promise<Page> {
    const made = await fetch(`http://${this.host}/json/new?about:blank`, { method: "PUT" });
    const { webSocketDebuggerUrl } = (await made.json()) as { webSocketDebuggerUrl: string };
    const socket = new WebSocket(webSocketDebuggerUrl);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    const page = new Page(socket);
    await page.open(url, window);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class Page implements Disposable {
  /** What the console has got, and what nobody caught. */
  readonly errors: string[] = [];
  readonly #answers = new Map<number, (message: Message) => void>();
  readonly #events = new Map<string, () => void>();
  #last = 0;

  constructor(readonly socket: WebSocket) {
    socket.onmessage = ({ data }) => this.#take(JSON.parse(String(data)));
  }

  async open(
    url: string,
    { width = 1280, height = 900, isDark = false, withoutScripts = false }: Window,
  ): Promise<void> {
    for (const domain of ["Page", "Runtime", "Log"]) await this.#send(`${domain}.enable`);
    await this.#send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    const features = [{ name: "prefers-color-scheme", value: isDark ? "dark" : "light" }];
    await this.#send("Emulation.setEmulatedMedia", { features });
    await this.#send("Emulation.setScriptExecutionDisabled", { value: withoutScripts });
    const loaded = new Promise<void>((resolve) => this.#events.set("Page.loadEventFired", resolve));
    await this.#send("Page.navigate", { url });
    await loaded;
  }

  /** What an expression is, in the page. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: Value }).value;
  }

  /** Returns when the page has painted what came of it. With `times` it is held down so long. */
  async press(key: string, { shift = false, times = 1 } = {}): Promise<void> {
    const event = { key, code: key, modifiers: shift ? 8 : 0 };
    for (let time = 0; time < times; time++)
      await this.#send("Input.dispatchKeyEvent", { ...event, type: "keyDown", autoRepeat: time > 0 });
    await this.#send("Input.dispatchKeyEvent", { ...event, type: "keyUp" });
    await this.painted();
  }

  async click(selector: string): Promise<void> {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
    await this.painted();
  }

  async type(selector: string, text: string): Promise<void> {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    await this.#send("Input.insertText", { text });
    await this.painted();
  }

  async painted(): Promise<void> {
    await this.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))");
  }

  async picture(file: string): Promise<void> {
    const { data } = await this.#send("Page.captureScreenshot", { format: "png" });
    await Bun.write(file, Buffer.from(String(data), "base64"));
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }

  async #send(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const id = ++this.#last;
    const answer = new Promise<Message>((resolve) => this.#answers.set(id, resolve));
    this.socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`Cannot call ${method}: ${error.message}`);
    return result ?? {};
  }

  #take({ id, method, params, ...rest }: Message): void {
    if (id !== undefined) {
      this.#answers.get(id)?.(rest);
      this.#answers.delete(id);
    } else if (method !== undefined) {
      if (/^(Runtime\.(consoleAPICalled|exceptionThrown)|Log\.entryAdded)$/.test(method))
        this.errors.push(JSON.stringify(params));
      this.#events.get(method)?.();
    }
  }
}
