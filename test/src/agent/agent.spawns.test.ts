// The agent, asked for real: by a C program that checks what it takes for granted, of a server that does what the test
// says. A thread that asks must come out of it as out of any call, whatever the server does.

import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";
import { emitAgent } from "../../../src/agent/code/ask.ts";
import { mappedConnection } from "../../../src/agent/code/channels.ts";
import { COMMAND_LIMIT, Kind, SLOT_COUNT, State, What } from "../../../src/agent/protocol.ts";
import type { Command } from "../../../src/agent/slot.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import type { Running } from "../../support/run.ts";
import { emitAsking } from "./asking.ts";
import { Caller, type CallerCommand, ended } from "./caller.ts";
import { call, ScriptedServer, type Talk } from "./scripted-server.ts";

setDefaultTimeout(20_000);

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const caller = new Caller(scratch);
const six = caller.addressOf("given_six");
const eight = caller.addressOf("given_eight");
const slot = caller.addressOf("given_exchange");
const token = 0x1234_5678_9abc;

let count = 0;
const freshServer = (): ScriptedServer => new ScriptedServer(scratch.path(`pages-${count++}`));

/** `opening` asks about a file, the path being its second argument, and then does what `given_eight` does. */
const OPENING = Kind.file | (1 << 8);

function agent(server: ScriptedServer): Code {
  const [dlopen, dlmopen] = [caller.addressOf("given_dlopen"), caller.addressOf("given_dlmopen")];
  const assembler = new Assembler();
  // The same for own threads and children: a process that is not known here asks in both alike.
  const { at } = server.pages;
  const connection = mappedConnection({ own: at, children: at, doorbell: at, pid: 0 });
  emitAgent(assembler, { connection, token, dlopen, dlmopen });
  emitAsking(assembler.align(16), "opening", OPENING, eight);
  return assembler.assemble();
}

/** Overwrites the operand at the end of an instruction. */
function patch({ bytes, listing }: Code, text: string, ...operand: number[]): void {
  const index = listing.findIndex((line) => line.text === text);
  const end = listing[index + 1]?.at;
  if (index < 0 || end === undefined) throw new Error(`The agent has no "${text}"`);
  bytes.set(operand, end - operand.length);
}

/** Has the agent say that it waits after a second, or three looks for a free slot, instead of 10 s. */
const isImpatient = (code: Code): void => {
  patch(code, "movl $0xa,0x50(%rsp)", 1, 0, 0, 0);
  patch(code, "mov $0x3e8,%r14d", 3, 0, 0, 0);
};
/** How long a second is. */
const secondsLast = (code: Code, seconds: number): void => patch(code, "addq $0x1,0x40(%rsp)", seconds);
/** Has it give up after a second, as if there were no server any more. */
const givesUp = (code: Code): void => {
  const [JE, NOP_JMP] = [
    [0x0f, 0x84],
    [0x90, 0xe9],
  ];
  const at = code.listing.find(({ text }) => text === "je give up")?.at ?? -1;
  expect([...code.bytes.subarray(at, at + 2)]).toEqual(JE);
  code.bytes.set(NOP_JMP, at);
};
/** What it says when it has waited for long. */
const WAITS =
  /^capsule: the server of isolated libraries is alive, but has answered nobody for 10 s: .*; waiting for it\n$/;

interface Question {
  readonly command?: CallerCommand;
  readonly label?: string;
  readonly server?: ScriptedServer;
  readonly by?: readonly string[];
  readonly change?: (code: Code) => void;
}

type Script = (talk: Talk, child: Running, number: number) => Promise<void> | void;

/** Asks a server with that script; returns what the caller has printed. */
async function ask(
  args: readonly (string | number)[],
  script: Script,
  { command = "call", label = "dlopen", server = freshServer(), by = [], change = () => {} }: Question = {},
): Promise<string[]> {
  const code = agent(server);
  change(code);
  await using child = caller.start(code, command, label, args.map(String), { pages: server.pages, by });
  return await server.serve(ended(child), (talk, number) => script(talk, child, number));
}

/** What nobody asks for. */
const nothing: Script = () => {
  throw new Error("It has been asked");
};

/** What a caller sees of a request that nobody has answered. */
const FAILED = ["dlopen /capsule does not answer 1, from the caller", "result d1"];

/** The number of a process that has ended, and is in nobody's way. */
const deadProcess = (): number => Bun.spawnSync(["true"]).pid;

/** Waits until a process sleeps in a system call. */
async function asleep(pid: number): Promise<void> {
  while (!/\) S /.test(readFileSync(`/proc/${pid}/stat`, "latin1"))) await new Promise(setImmediate);
}

describe("the request", () => {
  test("of dlopen says what was asked, by whom, from where", async () => {
    const printed = await ask(["@libGL.so.1", 0x102, 3, 4, 5, -6], (talk, { pid }) => {
      const { request } = talk;
      expect(request.kind).toBe(Kind.dlopen);
      expect(request.a0).toBeGreaterThan(0n);
      const { a1, a2, a3, a4, a5 } = request;
      expect([a1, a2, a3, a4, a5]).toEqual([0x102n, 3n, 4n, 5n, 0xffff_ffff_ffff_fffan]);
      expect(request.target).toBe(caller.addressOf("given_dlopen"));
      expect(request.returnAddress).toBe(caller.addressOf("guarded_return"));
      expect([request.pid, request.tid, request.token]).toEqual([pid, pid, token]);
      talk.answer(0x7f12_3456_789a);
    });
    expect(printed).toEqual(["result 7f123456789a"]);
  });

  test("of dlmopen has its three arguments", async () => {
    const server = freshServer();
    const printed = await ask(
      [-1, "@libGL.so.1", 1],
      (talk) => {
        const { kind, a0, a2, target } = talk.request;
        expect([kind, a0, a2]).toEqual([Kind.dlmopen, 0xffff_ffff_ffff_ffffn, 1n]);
        expect(target).toBe(caller.addressOf("given_dlmopen"));
        talk.answer(0);
      },
      { label: "dlmopen", server },
    );
    expect(printed).toEqual(["result 0"]);
    expect(server.requests).toBe(1);
  });

  test("of another function says which one, and which argument is a path", async () => {
    const printed = await ask(
      [0x1, "@/usr/share/file", 3, 4, 5, 6, 7, 8],
      (talk) => {
        const { kind, a0, a2, a3, a4, a5, target, token: from } = talk.request;
        expect([kind, a0, a2, a3, a4, a5]).toEqual([OPENING, 1n, 3n, 4n, 5n, 6n]);
        expect([target, from]).toEqual([eight, token]);
        talk.answer(0x42);
      },
      { label: "opening" },
    );
    expect(printed).toEqual(["result 42"]);
  });

  test("is not made for the program itself, which glibc has at hand", async () => {
    const server = freshServer();
    const doorbell = server.channel.doorbell;
    const own: [string, (string | number)[], string[]][] = [
      ["dlopen", [0, 258], ["dlopen NULL 258, from the caller", "result d1"]],
      ["dlmopen", [3, 0, 2], ["dlmopen 3 NULL 2, from the caller", "result d2"]],
    ];
    for (const [label, args, lines] of own)
      expect(await caller.run(agent(server), "call", label, args.map(String), { pages: server.pages })).toEqual(lines);
    expect(server.channel.doorbell).toBe(doorbell);
  });

  test("wakes a server that sleeps, and the answer the thread that sleeps", async () => {
    const server = freshServer();
    const [slot] = server.slots;
    const code = agent(server);
    secondsLast(code, 100); // longer than the test: only the answer can wake it
    const { doorbell } = server.channel;
    await using child = caller.start(code, "call", "dlopen", ["@x", "1"], { pages: server.pages });
    const [before, late] = [performance.now(), 10_000];
    while (server.channel.doorbell === doorbell) server.channel.awaitDoorbell(doorbell, late);
    expect(performance.now() - before).toBeLessThan(late);
    expect(slot?.state).toBe(State.asked);
    await asleep(child.pid);
    expect(slot?.command([{ what: "return", arguments: [5] }])).toBe(true);
    expect(await ended(child)).toEqual(["result 5"]);
  });

  test("needs no descriptor", async () => {
    const printed = await ask(["@x", 1], (talk) => talk.answer(3), { command: "call without descriptors" });
    expect(printed).toEqual(["result 3"]);
  });

  test("of a forked child is its own, and what is lent to it arrives", async () => {
    const printed = await ask(
      ["@x", 1],
      async (talk, { pid }) => {
        const { request } = talk;
        expect(request.pid).not.toBe(pid);
        expect(request.tid).toBe(request.pid);
        expect(readFileSync(`/proc/${request.pid}/stat`, "latin1").split(" ")[3]).toBe(`${pid}`);
        const at = talk.lend("child");
        expect(await talk.results(call(slot, at))).toEqual([0n]);
        expect(talk.returned(at, 5)).toBe("CHILD");
        talk.answer(6);
      },
      { command: "forked call" },
    );
    expect(printed).toEqual(["child", "result 6"]);
  });
});

describe("a command", () => {
  test("RETURN gives all 64 bits back", async () => {
    for (const word of [0xfedc_ba98_7654_3210n, 0xffff_ffff_ffff_ffffn, 0n, 0x8000_0000n]) {
      const printed = await ask(["@x", 1], (talk) => talk.commandWords(What.return, 0, [word]));
      expect(printed).toEqual([`result ${word.toString(16)}`]);
    }
  });

  test("RETURN frees the slot, so that the next request has it again", async () => {
    const server = freshServer();
    const slots: number[] = [];
    const printed = await ask(
      [3, "@x", 1],
      (talk, _, number) => {
        slots.push(talk.slot.index);
        talk.answer(number);
      },
      { command: "repeated call", server },
    );
    expect(printed).toEqual(["result 0", "result 1", "result 2"]);
    expect(slots).toEqual([0, 0, 0]);
    expect([...server.states]).toEqual(["free"]);
  });

  test("CALL is executed with six arguments, as often as it comes", async () => {
    const printed = await ask(["@x", 1], async (talk) => {
      for (const first of [1, 2, 3]) {
        const words = [first, 0x7fff_ffff_ffff, -1, 0, 5, 6].map(BigInt);
        talk.commandWords(What.call, six, words);
        await talk.until(State.executed);
        expect(talk.slot.results(1)).toEqual([BigInt(first) * 1_000_000_000_000n + 6n]);
      }
      talk.answer(9);
    });
    expect(printed).toEqual([
      ...[1, 2, 3].map((first) => `six ${first} 7fffffffffff ffffffffffffffff 0 5 6, from the agent`),
      "result 9",
    ]);
  });

  test("CALL finds the stack aligned, also where the caller had not", async () => {
    const printed = await ask(
      ["@x", 1],
      async (talk) => {
        await talk.results(call(six, 1, 2, 3, 4, 5, 6));
        talk.answer(9);
      },
      { command: "unaligned call" },
    );
    expect(printed).toEqual(["six 1 2 3 4 5 6, from the agent", "result 9"]);
  });

  test("many come at once, as many as there is room for, and are executed one behind the other", async () => {
    const rounds = 3;
    const list = Array.from({ length: rounds * COMMAND_LIMIT }, (_, i) => i);
    const printed = await ask(["@x", 1], async (talk) => {
      for (let from = 0; from < list.length; from += COMMAND_LIMIT) {
        const batch = list.slice(from, from + COMMAND_LIMIT);
        const results = await talk.results(...batch.map((i) => call(six, i, 0, 0, 0, 0, 7)));
        expect(results).toEqual(batch.map((i) => BigInt(i) * 1_000_000_000_000n + 7n));
      }
      talk.answer(0);
    });
    expect(printed).toEqual([...list.map((i) => `six ${i.toString(16)} 0 0 0 0 7, from the agent`), "result 0"]);
  });

  test("that ends the session can stand behind a CALL", async () => {
    const endings: [Command, string[]][] = [
      [{ what: "return", arguments: [4] }, ["result 4"]],
      [{ what: "fail", arguments: [] }, FAILED],
      [
        { what: "jump", target: six, arguments: [2] },
        ["six 2 0 0 0 0 0, from the caller", `result ${(2_000_000_000_000).toString(16)}`],
      ],
    ];
    for (const [ending, lines] of endings) {
      const printed = await ask(["@x", 1], (talk) => talk.command(call(six, 1), ending));
      expect(printed).toEqual(["six 1 0 0 0 0 0, from the agent", ...lines]);
    }
  });

  test("CALL can be given what is lent, and the server sees what became of it", async () => {
    const printed = await ask(["@x", 1], async (talk) => {
      for (const texts of [["one", "two"], ["three"]]) {
        const lent = texts.map((text) => talk.lend(text));
        await talk.results(...lent.map((at) => call(slot, at)));
        expect(lent.map((at, i) => talk.returned(at, texts[i]?.length ?? 0))).toEqual(
          texts.map((text) => text.toUpperCase()),
        );
      }
      talk.answer(0);
    });
    expect(printed).toEqual(["one", "two", "three", "result 0"]);
  });

  test("JUMP goes on as if the caller had called that function", async () => {
    const server = freshServer();
    const words = [10n, 11n, 12n, 13n, 14n, 0xffff_ffff_ffff_ffffn];
    const printed = await ask(["@x", 1, 2, 3, 4, 5], (talk) => talk.commandWords(What.jump, six, words), { server });
    expect(printed).toEqual([
      "six a b c d e ffffffffffffffff, from the caller",
      `result ${(9_999_999_999_999).toString(16)}`,
    ]);
    expect([...server.states]).toEqual(["free"]);
  });

  test("JUMP leaves arguments on the stack where they are", async () => {
    const printed = await ask([1, "@x", 3, 4, 5, 6, 7, 8], (talk) =>
      talk.command({ what: "jump", target: eight, arguments: [0xa, 0xb, 0xc, 0xd, 0xe, 0xf] }),
    );
    expect(printed).toEqual(["eight a b c d e f 7 8, from the caller", "result d8"]);
  });

  test("FAIL is as if there were no server", async () => {
    const server = freshServer();
    const fail: Script = (talk) => talk.command({ what: "fail", arguments: [] });
    expect(await ask(["@x", 1], fail, { server })).toEqual(FAILED);
    expect(await ask([5, "@x", 1], fail, { server, label: "dlmopen" })).toEqual(FAILED);
    expect([...server.states]).toEqual(["free"]);
  });

  test("CALL may lead to another request, which has a slot of its own", async () => {
    let label = 0;
    let outer: number | undefined;
    const printed = await ask(
      ["@outer", 1],
      async (talk, _, number) => {
        if (number === 1) {
          expect(talk.request.a1).toBe(2n);
          expect(talk.slot.index).not.toBe(outer);
          await talk.results(call(six, 1));
          talk.answer(0xbeef);
          return;
        }
        outer = talk.slot.index;
        const name = talk.lend("inner");
        const results = await talk.results(
          call(six, 2),
          call(caller.addressOf("given_asking"), label, name),
          call(six, 3),
        );
        expect(results).toEqual([2_000_000_000_000n, 0xbef0n, 3_000_000_000_000n]);
        talk.answer(7);
      },
      {
        change: ({ labels }) => {
          label = labels.get("dlopen") ?? 0;
        },
      },
    );
    expect(printed).toEqual([
      "six 2 0 0 0 0 0, from the agent",
      "asking for inner",
      "six 1 0 0 0 0 0, from the agent",
      "answered beef",
      "six 3 0 0 0 0 0, from the agent",
      "result 7",
    ]);
  });
});

describe("of many threads", () => {
  const SYS_NANOSLEEP = 35;
  /** How many threads are in that system call. */
  const inCall = (pid: number, number: number): number =>
    readdirSync(`/proc/${pid}/task`).filter((tid) =>
      readFileSync(`/proc/${pid}/task/${tid}/syscall`, "latin1").startsWith(`${number} `),
    ).length;

  test("each has a slot, as long as there are some; one more waits for one, and gets it", async () => {
    const server = freshServer();
    const tids = new Set<number>();
    const slots = new Set<number>();
    let isFull = false;
    const allTaken = (pid: number): boolean => {
      isFull ||= slots.size === SLOT_COUNT && inCall(pid, SYS_NANOSLEEP) === 1;
      return isFull;
    };
    const printed = await ask(
      [SLOT_COUNT + 1],
      async (talk, { pid }, number) => {
        tids.add(talk.request.tid);
        if (number < SLOT_COUNT) {
          slots.add(talk.slot.index);
          // nobody is answered before all slots are taken, and somebody waits
          await server.until(() => allTaken(pid));
        } else expect(isFull).toBe(true);
        const { a1 } = talk.request;
        expect(await talk.results(call(six, 0, 0, 0, 0, 0, Number(a1)))).toEqual([a1]);
        talk.answer(1000 + Number(a1));
      },
      { command: "threads", server },
    );
    const threads = Array.from({ length: SLOT_COUNT + 1 }, (_, i) => i);
    expect(printed.filter((line) => line.startsWith("thread"))).toEqual(
      threads.map((i) => `thread ${i}: result ${(1000 + i).toString(16)}`),
    );
    expect(printed.filter((line) => line.startsWith("six"))).toHaveLength(SLOT_COUNT + 1);
    expect(tids.size).toBe(SLOT_COUNT + 1);
    expect([...server.states]).toEqual(["free"]);
  });

  test("one that finds no slot says so after a while, and waits until there is one", async () => {
    const server = freshServer();
    for (const slot of server.slots) slot.change(State.free, State.claimed);
    const code = agent(server);
    isImpatient(code);
    await using child = caller.start(code, "call", "dlopen", ["@x", "1"], { pages: server.pages });
    const end = child.end();
    const free = server.until(() => server.isSlow).then(() => server.slots[7]?.free());
    expect(await server.serve(end, (talk) => talk.answer(4))).toMatchObject({
      ...{ stdout: "result 4\n", stderr: expect.stringMatching(WAITS), exitCode: 0 },
    });
    await free;
  });

  test("one that is not answered says so after a while, one client of all, and waits, also with a timer", async () => {
    for (const command of ["call", "call with a timer"] as const) {
      const server = freshServer();
      for (const [word, stderr] of [
        [5, expect.stringMatching(WAITS)],
        [6, ""],
      ]) {
        const code = agent(server);
        isImpatient(code);
        await using child = caller.start(code, command, "dlopen", ["@x", "1"], { pages: server.pages });
        const answer = async (talk: Talk) => {
          await server.until(() => server.isSlow);
          talk.answer(word);
        };
        expect(await server.serve(child.end(), answer)).toMatchObject({ stdout: `result ${word}\n`, stderr });
      }
    }
  });

  test("nobody says so while the server answers others, with a slot or without", async () => {
    for (const isFull of [false, true]) {
      const server = freshServer();
      if (isFull) for (const slot of server.slots) slot.change(State.free, State.claimed);
      const code = agent(server);
      isImpatient(code);
      await using child = caller.start(code, "call", "dlopen", ["@x", "1"], { pages: server.pages });
      // Otherwise it would have said so after a second, or three hundredths.
      const others = (async () => {
        for (let i = 0; i < 250; i++) {
          server.channel.countAnswer();
          await Bun.sleep(10);
        }
        if (isFull) server.slots[7]?.free();
      })();
      const answer = async (talk: Talk) => {
        await others;
        talk.answer(4);
      };
      expect(await server.serve(child.end(), answer)).toMatchObject({ stdout: "result 4\n", stderr: "" });
      expect(server.isSlow).toBe(false);
    }
  });
});

describe("a request that is not answered fails as a missing file does, when", () => {
  test("there is no server", async () => {
    const server = freshServer();
    server.channel.close();
    const doorbell = server.channel.doorbell;
    expect(await ask(["@x", 1], nothing, { server })).toEqual(FAILED);
    expect(await ask([5, "@x", 1], nothing, { server, label: "dlmopen" })).toEqual(FAILED);
    expect([...server.states]).toEqual(["free"]);
    expect(server.channel.doorbell).toBe(doorbell);
  });

  test("the server has died without a word, however often that is asked", async () => {
    const server = freshServer();
    const dead = deadProcess();
    server.pretend(dead, dead);
    const times = 2 * SLOT_COUNT;
    const printed = await ask([times, "@x", 1], nothing, { server, command: "repeated call" });
    expect(printed).toEqual(Array.from({ length: times }, () => FAILED).flat());
    expect([...server.states]).toEqual(["free"]);
  });

  const ends: [string, (server: ScriptedServer) => void][] = [
    ["dies with its process", (server) => server.pretend(deadProcess(), deadProcess())],
    ["dies alone", (server) => server.pretend(process.pid, deadProcess())],
    ["gives up", (server) => server.channel.close()],
  ];
  for (const [words, end] of ends) {
    test(`the server ${words} while it is waited for`, async () => {
      const server = freshServer();
      expect(await ask(["@x", 1], () => end(server), { server })).toEqual(FAILED);
      expect([...server.states]).toEqual(["left", "free"]);
    });

    test(`the server ${words} before it has a CALL's result, which was executed`, async () => {
      const server = freshServer();
      const printed = await ask(
        ["@x", 1],
        async (talk) => {
          await talk.results(call(six, 1));
          end(server);
          await talk.until(State.left);
        },
        { server },
      );
      expect(printed).toEqual(["six 1 0 0 0 0 0, from the agent", ...FAILED]);
    });
  }

  test("the server dies, in a program that a timer interrupts all the time", async () => {
    const server = freshServer();
    const dead = deadProcess();
    const printed = await ask(["@x", 1], () => server.pretend(dead, dead), { server, command: "call with a timer" });
    expect(printed).toEqual(FAILED);
  });

  test("the server dies while a slot is waited for", async () => {
    const server = freshServer();
    for (const slot of server.slots) slot.change(State.free, State.claimed);
    await using child = caller.start(agent(server), "call", "dlopen", ["@x", "1"], { pages: server.pages });
    await asleep(child.pid);
    const dead = deadProcess();
    server.pretend(dead, dead);
    expect(await ended(child)).toEqual(FAILED);
  });

  test("the server takes the slot away: what was commanded in it before is not executed again", async () => {
    const printed = await ask(
      [2, "@x", 1],
      async (talk, _, number) => {
        if (number === 1) return talk.free();
        await talk.results(call(six, 1));
        talk.answer(8);
      },
      { command: "repeated call" },
    );
    expect(printed).toEqual(["six 1 0 0 0 0 0, from the agent", "result 8", ...FAILED]);
  });

  const canUnshare = Bun.spawnSync(["unshare", "--pid", "--fork", "true"]).exitCode === 0;
  test.skipIf(!canUnshare)(
    `it comes from another PID namespace${canUnshare ? "" : " (we cannot make one)"}`,
    async () => {
      const server = freshServer();
      expect(await ask(["@x", 1], nothing, { server, by: ["unshare", "--pid", "--fork"] })).toEqual(FAILED);
      expect([...server.states]).toEqual(["free"]);
    },
  );
});

describe("a function that is not dlopen goes on with its own arguments, when", () => {
  const own = [1, 2, 3, 4, 5, 6, 7, 8];
  const REAL = ["eight 1 2 3 4 5 6 7 8, from the caller", "result d8"];

  test("there is no server", async () => {
    const server = freshServer();
    server.channel.close();
    expect(await ask(own, nothing, { server, label: "opening" })).toEqual(REAL);
  });

  test("the server dies", async () => {
    const server = freshServer();
    const dead = deadProcess();
    expect(await ask(own, () => server.pretend(dead, dead), { label: "opening", server })).toEqual(REAL);
  });

  test("the server has it fail, before or behind a CALL", async () => {
    const fail = { what: "fail", arguments: [] } as const;
    expect(await ask(own, (talk) => talk.command(fail), { label: "opening" })).toEqual(REAL);
    const printed = await ask(
      own,
      async (talk) => {
        await talk.results(call(six, 9, 9, 9, 9, 9, 9));
        talk.command(fail);
      },
      { label: "opening" },
    );
    expect(printed).toEqual(["six 9 9 9 9 9 9, from the agent", ...REAL]);
  });
});

describe("a client that has left", () => {
  test("while the server works gets no commands; the slot can be had again when the server has freed it", async () => {
    const server = freshServer();
    const printed = await ask(
      ["@x", 1],
      async (talk) => {
        await talk.until(State.left);
        expect(talk.slot.isForServer).toBe(true);
        expect(talk.slot.command([call(six, 1)])).toBe(false);
        talk.free();
      },
      { server, change: givesUp },
    );
    expect(printed).toEqual(FAILED);
    expect([...server.states]).toEqual(["free"]);
  });

  test("or not, just then: either it executes, or the server hears that it has left", async () => {
    const server = freshServer();
    const rounds = 600;
    const code = agent(server);
    givesUp(code);
    secondsLast(code, 0);
    await using child = caller.start(code, "repeated call", "dlopen", [`${rounds}`, "@x", "1"], {
      pages: server.pages,
    });
    const late = performance.now() + 60_000;
    const spinUntil = (isSo: () => boolean): number => {
      while (!isSo()) if (performance.now() > late) throw new Error("It does not come to an end");
      return performance.now();
    };
    const stateOf = (state: number) => server.slots.find((each) => each.state === state);
    const answered: boolean[] = [];
    let patience = 0;
    for (let round = 0; round < rounds; round++) {
      let slot: ScriptedServer["slots"][number] | undefined;
      const asked = spinUntil(() => {
        // it may be too late for that one, too
        slot = stateOf(State.asked) ?? stateOf(State.left);
        return slot !== undefined;
      });
      if (!slot) continue;
      // at once, when it has left, or as close to that as can be
      if (round % 8 === 1) {
        const isEarly = slot.state === State.asked;
        const left = spinUntil(() => slot?.state === State.left);
        if (isEarly) patience = left - asked;
      } else if (round % 8 > 1) spinUntil(() => performance.now() - asked >= patience * (0.9 + (round % 40) / 200));
      const isInTime = slot.command([{ what: "return", arguments: [round] }]);
      if (!isInTime) slot.free();
      answered.push(isInTime);
      // what it prints has to be read, or it stops
      if (round % 50 === 0) await new Promise(setImmediate);
    }
    // several may have been left before the server comes to the first of them
    const expected = answered.flatMap((isInTime, round) => (isInTime ? [`result ${round.toString(16)}`] : FAILED));
    expect((await ended(child)).sort()).toEqual(expected.sort());
    expect(answered).toContain(true);
    expect(answered).toContain(false);
    expect([...server.states]).toEqual(["free"]);
  }, 90_000);
});

describe("a signal that comes in between changes nothing", () => {
  /**
   * Interrupts a process that sleeps, and waits until it has handled that and sleeps again. `number` counts its
   * signals.
   */
  async function interrupt(child: Running, number: number): Promise<void> {
    await asleep(child.pid);
    process.kill(child.pid, "SIGUSR1");
    await child.line((line) => line === `signal ${number}`);
    await asleep(child.pid);
  }
  const signals = (from: number, to: number): string[] =>
    Array.from({ length: to - from + 1 }, (_, i) => `signal ${from + i}`);

  test("while a command is waited for, the first or a later one", async () => {
    const printed = await ask(["@x", 1], async (talk, child) => {
      for (const number of [1, 2, 3]) await interrupt(child, number);
      expect(talk.slot.state).toBe(State.asked);
      await talk.results(call(six, 1));
      for (const number of [4, 5, 6]) await interrupt(child, number);
      expect(talk.slot.state).toBe(State.executed);
      talk.answer(1);
    });
    expect(printed).toEqual([...signals(1, 3), "six 1 0 0 0 0 0, from the agent", ...signals(4, 6), "result 1"]);
  });

  test("while a slot is waited for", async () => {
    const server = freshServer();
    for (const slot of server.slots) slot.change(State.free, State.claimed);
    await using child = caller.start(agent(server), "call", "dlopen", ["@x", "1"], { pages: server.pages });
    for (const number of [1, 2, 3]) await interrupt(child, number);
    const last = server.slots.at(-1);
    last?.free();
    const printed = await server.serve(ended(child), (talk) => {
      expect(talk.slot).toBe(last as never);
      talk.answer(1);
    });
    expect(printed).toEqual([...signals(1, 3), "result 1"]);
  });
});
