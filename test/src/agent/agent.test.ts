// The agent, asked for real: by a C program that checks what it takes for granted, of a server that does what the test
// says. A thread that asks must come out of it as out of any call, whatever the server does.

import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { linkSync, readFileSync } from "node:fs";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";
import { emitAgent } from "../../../src/agent/code/ask.ts";
import { Kind, Order } from "../../../src/agent/protocol.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import type { Running } from "../../support/run.ts";
import { Caller, ended } from "./caller.ts";
import { ScriptedServer, type Talk } from "./scripted-server.ts";

setDefaultTimeout(20_000);

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const caller = new Caller(scratch);
const six = caller.addressOf("given_six");
const memory = caller.addressOf("given_memory");
const token = 0x1234_5678_9abc;

function agent(socket: string): Code {
  const [dlopen, dlmopen] = [caller.addressOf("given_dlopen"), caller.addressOf("given_dlmopen")];
  const assembler = new Assembler();
  emitAgent(assembler, { socket, token, dlopen, dlmopen });
  return assembler.assemble();
}

let count = 0;
const freshSocket = (): string => scratch.path(`socket-${count++}`);

/** Asks a server with that script; returns what the caller has printed. */
async function ask(
  args: readonly (string | number)[],
  script: (talk: Talk, child: Running, number: number) => Promise<void>,
  label = "dlopen",
  change: (code: Code) => void = () => {},
): Promise<string[]> {
  const running = Promise.withResolvers<Running>();
  using server = new ScriptedServer(freshSocket(), async (talk, number) => script(talk, await running.promise, number));
  const code = agent(server.path);
  change(code);
  await using child = caller.start(code, "call", label, args.map(String));
  running.resolve(child);
  const [printed] = await Promise.all([ended(child), server.done()]);
  return printed;
}

/** What a caller sees of a request that nobody has answered. */
const FAILED = ["dlopen /capsule does not answer 1, from the caller", "result d1"];

describe("the request", () => {
  test("of dlopen says what was asked, by whom, from where", async () => {
    const args = ["@libGL.so.1", 0x102, 3, 4, 5, -6];
    const printed = await ask(args, async (talk, { pid }) => {
      const request = await talk.request();
      expect(request.kind).toBe(Kind.dlopen);
      expect(request.a0).toBeGreaterThan(0n);
      const { a1, a2, a3, a4, a5 } = request;
      expect([a1, a2, a3, a4, a5]).toEqual([0x102n, 3n, 4n, 5n, 0xffff_ffff_ffff_fffan]);
      expect(request.returnAddress).toBe(caller.addressOf("guarded_return"));
      expect([request.pid, request.tid, request.token]).toEqual([pid, pid, token]);
      talk.order("return", 0, [0x7f12_3456_789a]);
      expect(await talk.rest()).toHaveLength(0);
    });
    expect(printed).toEqual(["result 7f123456789a"]);
  });

  test("of dlmopen has its three arguments", async () => {
    const printed = await ask(
      [-1, "@libGL.so.1", 1],
      async (talk) => {
        const request = await talk.request();
        expect([request.kind, request.a0, request.a2]).toEqual([Kind.dlmopen, 0xffff_ffff_ffff_ffffn, 1n]);
        talk.order("return", 0, [0]);
      },
      "dlmopen",
    );
    expect(printed).toEqual(["result 0"]);
  });

  test("is not made for the program itself, which glibc has at hand", async () => {
    using server = new ScriptedServer(freshSocket(), async () => {});
    const code = agent(server.path);
    expect(await caller.run(code, "call", "dlopen", ["0", "258"])).toEqual([
      "dlopen NULL 258, from the caller",
      "result d1",
    ]);
    expect(await caller.run(code, "call", "dlmopen", ["3", "0", "2"])).toEqual([
      "dlmopen 3 NULL 2, from the caller",
      "result d2",
    ]);
    expect(server.connections).toBe(0);
  });

  test("reaches a socket with the longest path that there can be", async () => {
    const directory = scratch.path("");
    const socket = directory + "s".repeat(107 - directory.length);
    using server = new ScriptedServer(socket, async (talk) => {
      await talk.request();
      talk.order("return", 0, [1]);
    });
    expect(await caller.run(agent(socket), "call", "dlopen", ["@x", "1"])).toEqual(["result 1"]);
    await server.done();
  });
});

describe("an order", () => {
  test("RETURN gives all 64 bits back", async () => {
    const printed = await ask(["@x", 1], async (talk) => {
      await talk.request();
      talk.order("return", 0, [0xfedc_ba98_7654_3210n]);
    });
    expect(printed).toEqual(["result fedcba9876543210"]);
  });

  test("CALL is obeyed with six arguments, as often as it comes", async () => {
    const printed = await ask(["@x", 1], async (talk) => {
      await talk.request();
      for (const first of [1, 2, 3]) {
        talk.order("call", six, [first, 0x7fff_ffff_ffff, -1, 0, 5, 6].map(BigInt));
        expect(await talk.word()).toBe(BigInt(first) * 1_000_000_000_000n + 6n);
      }
      talk.order("return", 0, [9]);
    });
    expect(printed).toEqual([
      ...[1, 2, 3].map((first) => `six ${first} 7fffffffffff ffffffffffffffff 0 5 6, from the agent`),
      "result 9",
    ]);
  });

  test("CALL finds the stack aligned, also where the caller had not", async () => {
    using server = new ScriptedServer(freshSocket(), async (talk) => {
      await talk.request();
      talk.order("call", six, [1, 2, 3, 4, 5, 6]);
      await talk.word();
      talk.order("return", 0, [9]);
    });
    const printed = await caller.run(agent(server.path), "unaligned call", "dlopen", ["@x", "1"]);
    expect(printed).toEqual(["six 1 2 3 4 5 6, from the agent", "result 9"]);
    await server.done();
  });

  test("many come at once, and are obeyed one behind the other", async () => {
    const calls = 500;
    const printed = await ask(["@x", 1], async (talk) => {
      await talk.request();
      for (let i = 0; i < calls; i++) talk.order("call", six, [i]);
      const results = await talk.read(8 * calls);
      for (let i = 0; i < calls; i++) expect(results.getBigUint64(8 * i, true)).toBe(BigInt(i) * 1_000_000_000_000n);
      talk.order("return", 0, []);
    });
    expect(printed).toHaveLength(calls + 1);
  });

  test("comes in pieces", async () => {
    const printed = await ask(["@x", 1], async (talk) => {
      await talk.request();
      for (const byte of new Uint8Array(Order.size)) {
        talk.write(Uint8Array.of(byte));
        talk.socket.flush();
        await new Promise(setImmediate);
      }
    });
    expect(printed).toEqual(["result 0"]);
  });

  test("STORE and FETCH carry bytes both ways, also more than a socket holds", async () => {
    for (const size of [0, 1, 8, 4096, 4_000_001]) {
      const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >>> 8)) % 251);
      const printed = await ask(["@x", 1], async (talk) => {
        await talk.request();
        talk.order("store", 0, [memory, size], bytes);
        talk.order("fetch", 0, [memory, size]);
        const view = await talk.read(size);
        expect(Buffer.compare(new Uint8Array(view.buffer), bytes)).toBe(0);
        talk.order("return", 0, [size]);
      });
      expect(printed).toEqual([`result ${size.toString(16)}`]);
    }
  });

  test("what STORE has brought can be given to a CALL", async () => {
    const text = new TextEncoder().encode("a text of the server's\0");
    const printed = await ask(["@x", 1], async (talk) => {
      await talk.request();
      talk.order("store", 0, [memory, text.length], text);
      talk.order("call", caller.addressOf("given_print"), [memory]);
      await talk.word();
      talk.order("return", 0, []);
    });
    expect(printed).toEqual(["a text of the server's", "result 0"]);
  });

  test("JUMP goes on as if the caller had called that function", async () => {
    const printed = await ask(["@x", 1, 2, 3, 4, 5], async (talk) => {
      await talk.request();
      talk.order("jump", six, [10, 11, 12, 13, 14, 15]);
      expect(await talk.rest()).toHaveLength(0);
    });
    expect(printed).toEqual(["six a b c d e f, from the caller", `result ${(10_000_000_000_015).toString(16)}`]);
  });

  test("CALL may lead to another request, which has a connection of its own", async () => {
    let label = 0;
    const printed = await ask(
      ["@outer", 1],
      async (talk, _, number) => {
        const request = await talk.request();
        if (number === 1) {
          expect(request.a1).toBe(2n);
          talk.order("return", 0, [0xbeef]);
          return;
        }
        const name = new TextEncoder().encode("inner\0");
        talk.order("store", 0, [memory, name.length], name);
        talk.order("call", caller.addressOf("given_asking"), [label, memory]);
        expect(await talk.word()).toBe(0xbef0n);
        talk.order("return", 0, [7]);
      },
      "dlopen",
      ({ labels }) => {
        label = labels.get("dlopen") ?? 0;
      },
    );
    expect(printed).toEqual(["asking for inner", "answered beef", "result 7"]);
  });
});

describe("a request that is not answered fails as a missing file does, when", () => {
  test("there is no socket", async () => {
    expect(await caller.run(agent(freshSocket()), "call", "dlopen", ["@x", "1"])).toEqual(FAILED);
    expect(await caller.run(agent(freshSocket()), "call", "dlmopen", ["5", "@x", "1"])).toEqual(FAILED);
  });

  test("nobody listens any more", async () => {
    const path = freshSocket();
    using server = new ScriptedServer(freshSocket(), async () => {});
    linkSync(server.path, path); // it stays behind, as of a process that was killed
    server[Symbol.dispose]();
    expect(await caller.run(agent(path), "call", "dlopen", ["@x", "1"])).toEqual(FAILED);
  });

  for (const bytes of [0, 1, Order.size - 1]) {
    test(`the server hangs up ${bytes} bytes into an order`, async () => {
      const printed = await ask(["@x", 1], async (talk) => {
        await talk.request();
        talk.write(new Uint8Array(bytes));
        talk.socket.end();
      });
      expect(printed).toEqual(FAILED);
    });
  }

  test("the server hangs up without reading the request", async () => {
    expect(await ask(["@x", 1], async (talk) => void talk.socket.terminate())).toEqual(FAILED);
  });

  test("the server hangs up in the middle of a STORE", async () => {
    const printed = await ask(["@x", 1], async (talk) => {
      await talk.request();
      talk.order("store", 0, [memory, 1000], new Uint8Array(999));
      talk.socket.end();
    });
    expect(printed).toEqual(FAILED);
  });

  test("the server hangs up in the middle of a FETCH, and no SIGPIPE kills the caller", async () => {
    const printed = await ask(["@x", 1], async (talk) => {
      await talk.request();
      talk.order("fetch", 0, [memory, 8_000_000]);
      await talk.read(1);
      talk.socket.terminate();
    });
    expect(printed).toEqual(FAILED);
  });

  test("the server hangs up before it has a CALL's result, which was obeyed", async () => {
    const printed = await ask(["@x", 1], async (talk) => {
      await talk.request();
      talk.order("call", six, [1]);
      talk.socket.end();
    });
    expect(printed[0]).toBe("six 1 0 0 0 0 0, from the agent");
    expect(printed.slice(1)).toEqual(FAILED);
  });

  test("the server says nothing for as long as it is waited for", async () => {
    const printed = await ask(
      ["@x", 1],
      async (talk) => void (await talk.rest()),
      "dlopen",
      ({ bytes, labels }) => {
        const patience = new DataView(bytes.buffer, labels.get("patience"), 16);
        expect(patience.getBigUint64(0, true)).toBe(60n);
        patience.setBigUint64(0, 0n, true);
        patience.setBigUint64(8, 1000n, true); // microseconds
      },
    );
    expect(printed).toEqual(FAILED);
  });
});

describe("a signal that comes in between changes nothing", () => {
  /** Waits until a process sleeps in a system call. */
  async function asleep(pid: number): Promise<void> {
    while (!/\) S /.test(readFileSync(`/proc/${pid}/stat`, "latin1"))) await new Promise(setImmediate);
  }

  /** Interrupts a process that sleeps, and waits until it has handled that. */
  async function interrupt(child: Running, signals: number): Promise<void> {
    for (let i = 1; i <= signals; i++) {
      await asleep(child.pid);
      process.kill(child.pid, "SIGUSR1");
      let seen = 0;
      await child.line((line) => line === "signal" && ++seen >= i);
    }
    await asleep(child.pid);
  }

  test("while an order is waited for, or half of one", async () => {
    const printed = await ask(["@x", 1], async (talk, child) => {
      await talk.request();
      await interrupt(child, 2);
      const order = new Uint8Array(Order.size);
      talk.write(order.subarray(0, 10));
      await interrupt(child, 4);
      talk.write(order.subarray(10, 40));
      await interrupt(child, 6);
      talk.write(order.subarray(40));
    });
    expect(printed.filter((line) => line === "signal").length).toBeGreaterThanOrEqual(6);
    expect(printed.at(-1)).toBe("result 0");
  });

  test("while bytes are sent that nobody has taken yet", async () => {
    const size = 8_000_000;
    const printed = await ask(["@x", 1], async (talk, child) => {
      await talk.request();
      talk.socket.pause();
      talk.order("fetch", 0, [memory, size]);
      await interrupt(child, 3);
      talk.socket.resume();
      await talk.read(size);
      talk.order("return", 0, [1]);
    });
    expect(printed).toEqual(["signal", "signal", "signal", "result 1"]);
  });

  test("while the connection is not accepted yet", async () => {
    const path = freshSocket();
    const printed = await caller.run(agent(path), "interrupted connect", "dlopen", [path]);
    expect(printed).toEqual(["signal", "signal", "signal", "result 2a"]);
  });
});
