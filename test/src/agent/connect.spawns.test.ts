// Whether a client that is another process sees that its server is alive, at any time of the server's life.

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { System } from "../../../lib/process/system.ts";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";
import { al, eax } from "../../../lib/x86-64/narrow-registers.ts";
import { rbx, rdi } from "../../../lib/x86-64/registers.ts";
import { emitConnect, emitGate } from "../../../src/agent/code/connect.ts";
import { Header } from "../../../src/agent/protocol.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { Caller } from "./caller.ts";
import { ScriptedServer } from "./scripted-server.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const caller = new Caller(scratch);
const file = scratch.path("channel");
writeFileSync(file, "");
const system = new System();
const OWNER_DIED = 0x4000_0000;

/** Of the agent: `is gone` (the channel) returns 1 or 0. */
function code(): Code {
  const to = new Assembler();
  to.label("is gone").push(rbx).mov(rdi, rbx).call("look").sete(al).movzbl(al, eax).pop(rbx).ret();
  to.label("request").label("fail").ret();
  emitConnect(to);
  emitGate(to);
  to.label("channel path").text(file);
  const empty = ["controlBlock", "dlsym address", "told", "pause", "channel size", "complaint size", "complaint"];
  for (const name of [...empty, "channel function", "door address", "owner", "proc self"]) to.label(name).quad(0);
  for (const name of ["late constructor", "late shim", "program name", "lazy", "raise", "subject", "reason"])
    to.label(name).quad(0);
  return to.assemble();
}

let server: ScriptedServer;
let count = 0;
beforeEach(() => {
  server = new ScriptedServer(scratch.path(`pages-${count++}`));
});

const set = (field: "alive" | "isLocked" | "pid", value: number): void =>
  server.view.setUint32(Header.offsetOf[field], value, true);
async function isAlive(): Promise<boolean> {
  const printed = await caller.run(code(), "call", "is gone", [`${server.pages.at}`], { pages: server.pages });
  return printed.at(-1) === "result 0";
}
/** The number of a process that nobody has. */
const nobody = (): number => Bun.spawnSync(["true"]).pid;

describe("a server that has booted", () => {
  test("is alive until the kernel marks its mutex", async () => {
    set("alive", process.pid);
    set("pid", nobody());
    expect(await isAlive()).toBe(true);
    set("alive", OWNER_DIED);
    set("pid", process.pid);
    expect(await isAlive()).toBe(false);
  });
});

describe("a server that has not booted", () => {
  test("is alive as long as it holds the channel's lock, whatever its PID means here", async () => {
    const [descriptor, pid] = [openSync(file, "r+"), nobody()];
    expect(system.lock(descriptor)).toBe(true);
    set("isLocked", 1);
    set("pid", pid);
    expect(await isAlive()).toBe(true);
    closeSync(descriptor);
    // It may still be there for its parent to wait for.
    set("pid", process.pid);
    expect(await isAlive()).toBe(false);
  });

  test("is alive as long as its PID is, where the file system has no locks", async () => {
    set("pid", process.pid);
    expect(await isAlive()).toBe(true);
  });
});
