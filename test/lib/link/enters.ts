// Enters pieces of machine code as programs, in this process. Run by enter.test.ts, as what goes wrong here kills it.

import { CFunction } from "bun:ffi";
import { readFileSync } from "node:fs";
import { AT_PHNUM, contextWords, readContext } from "../../../lib/link/context.ts";
import { EntryState, emitEnter } from "../../../lib/link/enter-code.ts";
import { Libc } from "../../../lib/loader/libc.ts";
import { addressOf, ownMemory, pointer, stringAt } from "../../../lib/memory/live.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { install } from "../../../lib/process/patch.ts";
import { Assembler, addressOfLabel } from "../../../lib/x86-64/assembler.ts";

const libc = new Libc();
// proc(5): startstack, the 28th field; the name in brackets may have spaces
const [, fields = ""] = readFileSync("/proc/self/stat", "utf8").split(") ");
const context = readContext(ownMemory, toAddress(Number(fields.split(" ")[25])));
console.log(`arguments: ${context.arguments.slice(-2).map(stringAt).join(" ")}`);
console.log(`environment: ${context.environment.map(stringAt).find((text) => text.startsWith("COLOUR="))}`);
console.log(`headers: ${context.auxiliary.find(({ type }) => type === AT_PHNUM)?.value}`);

const seen = libc.allocatePages(4096, false);
const state = libc.allocatePages(EntryState.size, false);
const to = new Assembler();
emitEnter(to, state);
to.align(16)
  .label("program")
  .rip("mov seen(%rip),%rax", "seen", 0x48, 0x8b, 0x05)
  .op("mov %rsp,(%rax)", 0x48, 0x89, 0x20)
  .op("mov (%rsp),%rcx", 0x48, 0x8b, 0x0c, 0x24)
  .op("mov %rcx,0x8(%rax)", 0x48, 0x89, 0x48, 0x08)
  .op("mov %rdx,0x10(%rax)", 0x48, 0x89, 0x50, 0x10)
  .op("mov 0x8(%rsp),%rcx", 0x48, 0x8b, 0x4c, 0x24, 0x08)
  .op("mov %rcx,0x18(%rax)", 0x48, 0x89, 0x48, 0x18)
  .op("xor %ebx,%ebx", 0x31, 0xdb)
  .op("xor %ebp,%ebp", 0x31, 0xed)
  .op("xor %r12d,%r12d", 0x45, 0x31, 0xe4)
  .op("ret", 0xc3)
  .align(8)
  .label("seen")
  .quad(seen);
to.align(16).label("crash").op("xor %eax,%eax", 0x31, 0xc0).op("mov (%rax),%eax", 0x8b, 0x00);
const code = to.assemble();
const page = libc.allocatePages(4096, false);
libc.run(install(libc, code.bytes, page));
const at = (label: string) => addressOfLabel(code, label, page);

const words = contextWords(context);
const enter = CFunction({ ptr: pointer(at("enter")), args: ["ptr", "u64", "ptr", "ptr"], returns: "void" });
for (let round = 0; round < 3; round++) {
  enter(pointer(addressOf(words)), words.length, pointer(at(process.argv[2] ?? "")), pointer(toAddress(0x1234)));
  const view = ownMemory.view(seen, 32);
  const [stack = 0n, ...rest] = [0, 8, 16, 24].map((offset) => view.getBigUint64(offset, true));
  const aligned = stack % 16n === 0n ? "aligned" : "not aligned";
  const [argc, finalizer, first] = rest;
  console.log(
    `back: ${aligned}, argc ${argc}, rdx ${finalizer}, argv[0] ${first === BigInt(context.arguments[0] ?? 0)}`,
  );
}
