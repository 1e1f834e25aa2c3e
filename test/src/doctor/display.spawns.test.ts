// Displays: real sockets, of servers that answer, refuse, hang up, or are dead.

import { afterEach, describe, expect, test } from "bun:test";
import { System } from "../../../lib/process/system.ts";
import { displayFindings, knockWayland, knockX11, type Variables } from "../../../src/doctor/display.ts";
import { MachineFiles } from "../../../src/doctor/machine-files.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { complaints, textOf } from "./levels.ts";

const system = new System();
const open = () => undefined;
const shut = () => "there is no such socket";

const look = (variables: Variables, knockOnX11 = open as () => string | undefined, knockOnWayland = knockOnX11) =>
  displayFindings({ variables, knockX11: knockOnX11, knockWayland: knockOnWayland });

test("one display that answers is enough", () => {
  expect(complaints(look({ DISPLAY: ":0" }))).toEqual([]);
  expect(complaints(look({ DISPLAY: ":0" }, shut))).toEqual(["hindrance x11"]);
  const both = { DISPLAY: ":0", WAYLAND_DISPLAY: "wayland-0", XDG_RUNTIME_DIR: "/run/user/1" };
  expect(complaints(look(both, shut, open))).toEqual(["warning x11"]);
  expect(complaints(look(both, open, shut))).toEqual(["warning wayland"]);
  expect(complaints(look(both, shut))).toEqual(["hindrance x11", "hindrance wayland"]);
});

test("programs without windows need none", () => {
  expect(complaints(look({}))).toEqual(["warning display"]);
  expect(complaints(look({ DISPLAY: "" }))).toEqual(["warning display"]);
});

test("a display behind a network is told", () => {
  expect(complaints(look({ DISPLAY: "localhost:10.0" }))).toEqual(["warning x11"]);
  expect(complaints(look({ DISPLAY: "nonsense" }, shut))).toEqual(["hindrance x11"]);
});

describe("a socket", () => {
  const trees: SmallTree[] = [];
  const processes: Bun.Subprocess[] = [];
  afterEach(async () => {
    for (const child of processes.splice(0)) {
      child.kill("SIGKILL");
      await child.exited;
    }
    for (const tree of trees.splice(0)) tree[Symbol.dispose]();
  });

  /**
   * A server in a process of its own, since who knocks waits: it listens at a path and does what `body` says with each
   * connection.
   */
  async function server(body: string): Promise<{ path: string; directory: string }> {
    const tree = new SmallTree();
    trees.push(tree);
    const path = tree.path("server:0");
    const script = `import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind(${JSON.stringify(path)})\n${body}`;
    const child = Bun.spawn(["python3", "-c", script], { stdout: "pipe", stderr: "inherit" });
    processes.push(child);
    await child.stdout.getReader().read(); // a line: it listens
    return { path, directory: tree.directory };
  }
  const LISTEN = "s.listen()\nprint('ready', flush=True)\n";
  const x11 = (path: string) => knockX11(system, new MachineFiles())({ DISPLAY: path });

  test("of a server that lets in is open", async () => {
    const { path } = await server(`${LISTEN}c, _ = s.accept()\nc.recv(12)\nc.send(b'\\x01' + bytes(7))\nc.recv(1)`);
    expect(x11(path)).toBeUndefined();
  });

  test("of a server that refuses says why", async () => {
    const reply = "bytes([0, 5, 11, 0, 0, 0, 2, 0]) + b'No!\\n\\0'";
    const { path } = await server(`${LISTEN}c, _ = s.accept()\nc.recv(12)\nc.send(${reply})\nc.recv(1)`);
    expect(x11(path)).toBe('it says "No!"');
  });

  test("of a server that hangs is not waited for long", async () => {
    const { path } = await server(`${LISTEN}import time\ntime.sleep(60)`);
    expect(x11(path)).toContain("has not answered");
  });

  test("at which nobody listens is dead", async () => {
    const { path, directory } = await server("print('ready', flush=True)\nimport time\ntime.sleep(60)");
    expect(x11(path)).toBe("nobody listens at its socket");
    expect(knockWayland(system)({ WAYLAND_DISPLAY: path })).toBe("nobody listens at its socket");
    expect(knockWayland(system)({ WAYLAND_DISPLAY: "server:0", XDG_RUNTIME_DIR: directory })).toBeDefined();
  });

  test("whose queue is full is not waited for", async () => {
    const { path } = await server("s.listen(0)\nprint('ready', flush=True)\nimport time\ntime.sleep(60)");
    const filler = `import socket, time\nfor i in range(2):\n  s = socket.socket(socket.AF_UNIX); s.setblocking(False)\n  globals()['k%d' % i] = s\n  try: s.connect(${JSON.stringify(path)})\n  except BlockingIOError: pass\nprint('full', flush=True)\ntime.sleep(60)`;
    const child = Bun.spawn(["python3", "-c", filler], { stdout: "pipe" });
    processes.push(child);
    await child.stdout.getReader().read();
    expect(knockWayland(system)({ WAYLAND_DISPLAY: path })).toBe("it does not take connections");
  });

  test("that is no socket, or not there, is told", () => {
    const tree = new SmallTree({ "/x:0": Buffer.from("") });
    trees.push(tree);
    expect(x11(tree.path("/no:0"))).toBe("there is no such socket");
    expect(x11(tree.path("/x:0"))).toBe("nobody listens at its socket");
    expect(x11(tree.path(`/${"long".repeat(50)}:0`))).toBeDefined();
    expect(knockWayland(system)({ WAYLAND_DISPLAY: "wayland-0" })).toBe("XDG_RUNTIME_DIR is not set");
    expect(textOf(look({ WAYLAND_DISPLAY: "wayland-0" }), "XDG_RUNTIME_DIR")).toContain("wayland-0");
  });

  test("X's own is told from a name that is none", () => {
    expect(x11("nonsense")).toContain("not the name of a display");
  });
});
