// Every instruction of ours is the one that its text says, by objdump's word.

import { afterAll, expect, test } from "bun:test";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { emitSteps, emitTrial } from "../../../lib/process/steps.ts";
import { Assembler } from "../../../lib/x86-64/assembler.ts";
import { type Pointer, rip } from "../../../lib/x86-64/operands.ts";
import { rdi, rsi } from "../../../lib/x86-64/registers.ts";
import { emitAgent } from "../../../src/agent/code/ask.ts";
import { emitAuditor } from "../../../src/agent/code/auditor.ts";
import { mappedConnection } from "../../../src/agent/code/channels.ts";
import { emitCleanup } from "../../../src/agent/code/cleanup.ts";
import { emitConnect, emitGate, lentConnection } from "../../../src/agent/code/connect.ts";
import { emitDestructors } from "../../../src/agent/code/destructors.ts";
import { emitEnter } from "../../../src/agent/code/enter.ts";
import { emitExeShim } from "../../../src/agent/code/exe-shim.ts";
import { emitGetenv } from "../../../src/agent/code/getenv.ts";
import { emitLeavingFunctions } from "../../../src/agent/code/leave.ts";
import { ROOM_WORDS } from "../../../src/agent/code/more-room.ts";
import { emitHere, emitIterateAlso, emitObjectFunctions } from "../../../src/agent/code/objects.ts";
import { emitIsReachable, emitOlder } from "../../../src/agent/code/older-libc.ts";
import { emitPathFunctions } from "../../../src/agent/code/paths.ts";
import { emitCheck, emitReexecStub } from "../../../src/agent/code/reexec-stub.ts";
import { emitQuieting, emitSignalFunctions, emitSignalHandler } from "../../../src/agent/code/signals.ts";
import { emitStackSize } from "../../../src/agent/code/stack-size.ts";
import { emitStart } from "../../../src/agent/code/start.ts";
import { emitBegins, emitVectors } from "../../../src/agent/code/vectors.ts";
import { Kind } from "../../../src/agent/protocol.ts";
import { emitStubs } from "../../../src/hosted/image.ts";
import { emitFinish } from "../../../src/passes/finish.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { agreement, disassemble } from "../../lib/x86-64/disassemble.ts";
import { emitAsking } from "./asking.ts";

/** Of a re-exec stub. */
const PATHS = {
  loader: "/t/ld.so",
  libraries: "/kept",
  exeShim: "/kept/identity.so",
  complaint: "no",
  ofStatic: "no",
};

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const targets = {
  connection: mappedConnection({
    own: toAddress(0x7f12_3456_7000),
    children: toAddress(0x7f12_3457_8000),
    doorbell: toAddress(0x7f12_3456_7000),
    pid: 4711,
  }),
  token: 3,
  dlopen: toAddress(0x1000),
  dlmopen: toAddress(0x2000),
};
const find = () => toAddress(0x4000);
const exit = {
  ...{ pid: 4711, directory: "/run/directory", files: toAddress(0x1000), closeAll: find() },
  ...{ ending: toAddress(0x2000), lock: find(), unlock: find() },
};
const objects = {
  ...{ dladdr: find(), dladdr1: find(), dlinfo: find(), dl_iterate_phdr: find() },
  ...{ programName: find(), ownName: find(), record: find(), first: find(), iterators: find() },
  ...{ directory: "/run/directory", links: ["lib/libc.so.6", "lib/libm.so.6"] },
};
const HOOKS = { relocated: toAddress(0x7f11_2233_4455), atExit: find(), cxaAtexit: find() };
/** Of the agent of another process, which has it on pages of its own. */
const DATA = [
  ...["controlBlock", "dlsym address", "told", "pause", "channel size", "complaint size"],
  ...[
    "channel path",
    "channel function",
    "door address",
    "owner",
    "proc self",
    "complaint",
    "late constructor",
    "late shim",
    "program name",
    "lazy",
    "raise",
    "subject",
    "reason",
  ],
];
const emitters: Record<string, (to: Assembler) => void> = {
  "the agent": (to) => emitAgent(to, targets),
  "the agent, also for another function": (to) => {
    emitAgent(to, targets);
    emitAsking(to.align(16), "open", Kind.file, toAddress(0x3000));
  },
  "the agent of another process": (to) => {
    emitAgent(to, {
      ...targets,
      connection: lentConnection({ connect: find(), disconnect: find(), look: find(), complain: find() }),
    });
  },
  "what a shim calls": (to) => {
    emitAgent(to, targets);
    emitConnect(to);
    emitGate(to);
    for (const name of DATA) to.label(name).quad(0);
  },
  "what ld.so asks for libraries": (to) => {
    emitAuditor(to, { leastVersion: 2, auditedAt: 0x2040, staticTls: 0x4000, older: undefined, chosen: [] });
    emitBegins(to);
    for (const name of ["table", "agent", "is started", "headers", "piece", ...ROOM_WORDS]) to.label(name).quad(0);
  },
  "the same, where processes with an older libc are started over": (to) => {
    const older = {
      ...PATHS,
      takesArgv0: true,
      characterSets: undefined,
      newest: 38,
    };
    const chosen = [{ path: "/t/ld.so", dev: 1n, ino: 2n }];
    emitAuditor(to, { leastVersion: 2, auditedAt: 0x2040, staticTls: 0x4000, older, chosen });
    emitIsReachable(to, chosen);
    emitOlder(to, older);
    emitReexecStub(to, older);
    for (const name of ["table", "agent", "is started", "headers", "piece", ...ROOM_WORDS, "stack end"])
      to.label(name).quad(0);
  },
  "what stands in the place of libc": (to) => {
    emitReexecStub(to, { ...PATHS, takesArgv0: true, characterSets: "/t/gconv" });
    to.label("stack end").quad(0);
  },
  "the same, for an ld.so that cannot be told argv[0]": (to) => {
    emitReexecStub(to, { ...PATHS, takesArgv0: false, characterSets: undefined });
    to.label("stack end").quad(0);
  },
  "what stands in the place of another library of glibc's": (to) => {
    emitCheck(to, 1, "no");
    to.label("anchor").quad(0);
  },
  "what tells a process who it is": (to) => {
    emitVectors(to);
    emitBegins(to);
    emitExeShim(to);
    const find = { anchor: "anchor", distanceOf: (name: string) => (name.length % 2 === 0 ? -0x1230 : 0x4560) };
    emitPathFunctions(to, { program: undefined, hasTree: false, isHosted: true, find });
    for (const name of ["stack end", "anchor", "own length", "own path"]) to.label(name).quad(0);
  },
  "what makes a mount namespace": (to) => {
    emitEnter(to);
    emitSteps(to);
    for (const name of ["records", "program", "refusals", "not made", "not made size"]) to.label(name).quad(0);
  },
  "what is tried first": (to) => {
    emitTrial(to);
    emitSteps(to);
  },
  getenv: (to) => emitGetenv(to, "getenv", toAddress(0x1000), toAddress(0x2000)),
  start: (to) => emitStart(to, toAddress(0x1000), toAddress(0x2000), toAddress(0x3000)),
  cleanup: (to) => emitCleanup(to, exit),
  "what has destructors run": (to) => emitDestructors(to, exit),
  "what tells of objects": (to) => {
    emitAgent(to, targets);
    emitPathFunctions(to, { program: "/usr/bin/game", hasTree: false, isHosted: true, find: () => undefined });
    emitObjectFunctions(to.align(16), objects);
  },
  "what tells a capsule of objects": (to) => {
    emitGetenv(to, "getenv", toAddress(0x1000), toAddress(0x2000));
    emitAgent(to.align(16), targets);
    emitHere(to, find());
    emitIterateAlso(to.align(16), find(), find());
  },
  "what takes a path, in a program": (to) => {
    emitAgent(to, targets);
    emitPathFunctions(to, { program: "/usr/bin/game", hasTree: false, isHosted: true, find });
  },
  "what takes a path, in a capsule": (to) => {
    emitAgent(to, targets);
    emitPathFunctions(to, { program: "/usr/bin/game", hasTree: true, isHosted: true, find });
  },
  "what takes a path, in a capsule of an attached program": (to) => {
    emitAgent(to, targets);
    emitPathFunctions(to, { program: "/usr/bin/game", hasTree: true, isHosted: false, find });
  },
  "what is added to a program's image": (to) => emitStubs(to, HOOKS, -0x1_2345_6789),
  "what is added to one that has no initialiser": (to) => emitStubs(to, HOOKS),
  "what has the program's side finished first": (to) => emitFinish(to, find()),
  "what leaves where glibc has no such functions": (to) => {
    emitLeavingFunctions(to, { pid: 4711, key: find(), nothing: find() }, () => undefined);
  },
  "what dies, and what leaves": (to) => {
    emitAgent(to, targets);
    emitSignalHandler(to.align(16), find());
    emitSignalFunctions(to, find);
    emitQuieting(to.align(16), find());
    emitStackSize(to, find);
    emitLeavingFunctions(to, { pid: 4711, key: find(), nothing: find() }, find);
  },
  "all together": (to) => {
    emitAgent(to, targets);
    for (const name of ["open", "openat"]) emitAsking(to.align(16), name, Kind.file | (1 << 8), toAddress(0x3000));
    for (const name of ["getenv", "secure_getenv"])
      emitGetenv(to.align(16), name, toAddress(0x1000), toAddress(0x2000));
    emitStart(to.align(16), toAddress(0x1000), toAddress(0x2000), toAddress(0x3000));
    emitCleanup(to.align(16), exit);
  },
};

test.each(Object.entries(emitters))("%s", (_, emit) => {
  const assembler = new Assembler();
  emit(assembler);
  const code = assembler.assemble();
  const [listed, found] = agreement(code, disassemble(code, scratch));
  expect(found.length).toBeGreaterThan(0);
  expect(found).toEqual(listed);
});

test("the comparison tells one register, one jump and one operand from another", () => {
  const emit = (first: Pointer, jump: "je" | "jne", label: string) =>
    new Assembler()
      .mov(first, rsi)
      .lea(rip(label), rdi)
      [jump]("data")
      .label("data")
      .quad(0)
      .label("other")
      .quad(0)
      .assemble();
  const code = emit(rdi, "je", "data");
  const { listing } = emit(rsi, "jne", "other");
  const [listed, found] = agreement({ ...code, listing }, disassemble(code, scratch));
  expect(found.map((text, i) => text === listed[i])).toEqual([false, false, false]);
});
