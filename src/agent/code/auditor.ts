// The auditor of a launch (rtld-audit(7)): ld.so asks it where to look for a library, before it looks anywhere itself.
// So isolated libraries are found whatever LD_LIBRARY_PATH, DT_RPATH and the command line of an ld.so say, and also
// where the program opens the runtime's copy by a path. It is told of nothing but names: no call goes through it.
//
// It has no libc, needs nothing, and is in a namespace of its own.

import { PAGE_SIZE } from "../../../lib/memory/numbers.ts";
import { Assembler, type Code, immediate } from "../../../lib/x86-64/assembler.ts";
import { systemCall } from "./system-call.ts";

const encoder = new TextEncoder();

/**
 * In front of a path that is meant as it is: who links asks glibc to open files of host trees that have the names of
 * isolated libraries, and the auditor cannot tell who asks where a path is given. Without an auditor the path is the
 * same file.
 */
export const AS_IT_IS = "/./.";

/** What ld.so is given in the place of what it was asked for. */
export interface AuditorTargets {
  /** File name → path. A request for a path counts by its last part. */
  readonly files: ReadonlyMap<string, string>;
  /** In front of `files`, until `started` has been asked for: what starts a program over on another glibc. */
  readonly detours: ReadonlyMap<string, string>;
  readonly started: string | undefined;
  /**
   * The agent's path, as it is in `files`, and where its 64-bit word is that says that the process is audited, in bytes
   * behind its load bias.
   */
  readonly agent: string;
  readonly auditedAt: number;
  /** Of the interface, as la_version is told it: with an older ld.so the auditor withdraws. */
  readonly leastVersion: number;
}

export interface AuditorCode {
  readonly code: Code;
  readonly dataAt: number;
}

/** Of an Elf64 struct link_map, in bytes. */
const L_NAME = 8;

/** What becomes of an entry of the table. */
const ENTRY = { file: 0, detour: 1, started: 2 } as const;

/** `la_version`, `la_objopen` and `la_objsearch`. */
export function auditorCode(targets: AuditorTargets): AuditorCode {
  const to = new Assembler();
  emitAuditor(to, targets);
  emitTable(to, targets);
  to.align(PAGE_SIZE);
  const dataAt = to.length;
  to.label("is started").quad(0);
  return { code: to.assemble(), dataAt };
}

/** Needs `table`, `agent` and `is started`. */
export function emitAuditor(to: Assembler, targets: Pick<AuditorTargets, "leastVersion" | "auditedAt">): void {
  emitVersion(to, targets.leastVersion);
  emitOpened(to, targets.auditedAt);
  emitSearch(to);
}

/** (version): the same, or 0, with which ld.so unloads the auditor and says nothing. */
function emitVersion(to: Assembler, least: number): void {
  to.label("la_version")
    .op("mov %edi,%eax", 0x89, 0xf8)
    .op(`cmp $0x${least.toString(16)},%edi`, 0x83, 0xff, least)
    .to("jae", "sound version")
    .op("xor %eax,%eax", 0x31, 0xc0)
    .label("sound version")
    .op("ret", 0xc3);
}

/**
 * (link_map, namespace, cookie): keeps the namespace, by which it is known later who asks, and tells the agent that it
 * is there.
 */
function emitOpened(to: Assembler, auditedAt: number): void {
  to.label("la_objopen")
    .op("mov %rsi,(%rdx)", 0x48, 0x89, 0x32)
    .op("test %rsi,%rsi", 0x48, 0x85, 0xf6)
    .to("jne", "noted")
    .op("mov %rdi,%r8", 0x49, 0x89, 0xf8)
    .op("mov 0x8(%r8),%rdi", 0x49, 0x8b, 0x78, L_NAME)
    .rip("lea agent(%rip),%rsi", "agent", 0x48, 0x8d, 0x35)
    .to("call", "equal")
    .to("jne", "noted")
    .op("mov (%r8),%rax", 0x49, 0x8b, 0x00) // l_addr
    .op(`movq $0x1,0x${auditedAt.toString(16)}(%rax)`, 0x48, 0xc7, 0x80, ...immediate(auditedAt), 1, 0, 0, 0)
    .label("noted")
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("ret", 0xc3);
}

/**
 * (name, cookie of who asks, flag): the name, or another path. Only what the program's side asks for is looked up, and
 * before ld.so has looked anywhere.
 */
function emitSearch(to: Assembler): void {
  to.label("la_objsearch")
    .op("mov %rdi,%r10", 0x49, 0x89, 0xfa)
    .op("cmp $0x1,%edx", 0x83, 0xfa, 0x01) // LA_SER_ORIG
    .to("jne", "as asked")
    .op("cmpb $0x2f,(%rdi)", 0x80, 0x3f, 0x2f)
    .to("jne", "for the program")
    .op("cmpb $0x2e,0x1(%rdi)", 0x80, 0x7f, 0x01, 0x2e)
    .to("jne", "for the program")
    .op("cmpb $0x2f,0x2(%rdi)", 0x80, 0x7f, 0x02, 0x2f)
    .to("jne", "for the program")
    .op("cmpb $0x2e,0x3(%rdi)", 0x80, 0x7f, 0x03, 0x2e)
    .to("jne", "for the program")
    .op("lea 0x4(%rdi),%rax", 0x48, 0x8d, 0x47, AS_IT_IS.length)
    .op("ret", 0xc3)
    .label("for the program")
    .op("cmpq $0x0,(%rsi)", 0x48, 0x83, 0x3e, 0x00)
    .to("jne", "as asked")
    // The last part, and its hash.
    .op("mov %rdi,%rcx", 0x48, 0x89, 0xf9)
    .label("part")
    .op("mov %rcx,%r8", 0x49, 0x89, 0xc8)
    .op(`mov $0x${HASH_SEED.toString(16)},%edx`, 0xba, ...immediate(HASH_SEED))
    .label("letter")
    .op("movzbl (%rcx),%eax", 0x0f, 0xb6, 0x01)
    .op("inc %rcx", 0x48, 0xff, 0xc1)
    .op("test %al,%al", 0x84, 0xc0)
    .to("je", "hashed")
    .op("cmp $0x2f,%al", 0x3c, 0x2f)
    .to("je", "part")
    .op(`imul $0x${HASH_FACTOR.toString(16)},%edx,%edx`, 0x6b, 0xd2, HASH_FACTOR)
    .op("add %eax,%edx", 0x01, 0xc2)
    .to("jmp", "letter")
    .label("hashed")
    .rip("lea table(%rip),%r9", "table", 0x4c, 0x8d, 0x0d)
    .label("entry")
    .op("mov 0x8(%r9),%eax", 0x41, 0x8b, 0x41, 0x08)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("je", "as asked")
    .op("cmp %edx,(%r9)", 0x41, 0x39, 0x11)
    .to("jne", "next entry")
    .op("lea (%r9,%rax,1),%rsi", 0x49, 0x8d, 0x34, 0x01)
    .op("mov %r8,%rdi", 0x4c, 0x89, 0xc7)
    .to("call", "equal")
    .to("je", "known")
    .label("next entry")
    .op("add $0x10,%r9", 0x49, 0x83, 0xc1, ENTRY_SIZE)
    .to("jmp", "entry")
    .label("known")
    .op("mov 0x4(%r9),%ecx", 0x41, 0x8b, 0x49, 0x04)
    .rip("lea started(%rip),%rsi", "is started", 0x48, 0x8d, 0x35)
    .op("cmp $0x1,%ecx", 0x83, 0xf9, ENTRY.detour)
    .to("jb", "found")
    .to("je", "detour")
    .op("movb $0x1,(%rsi)", 0xc6, 0x06, 0x01)
    .to("jmp", "as asked")
    .label("detour")
    .op("cmpb $0x0,(%rsi)", 0x80, 0x3e, 0x00)
    .to("jne", "next entry")
    .label("found")
    // It may be a link to what a sandbox hides.
    .op("mov 0xc(%r9),%edi", 0x41, 0x8b, 0x79, 0x0c)
    .op("add %r9,%rdi", 0x4c, 0x01, 0xcf)
    .op("xor %esi,%esi", 0x31, 0xf6);
  systemCall(to, "access", 21);
  to.op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "as asked")
    .op("mov 0xc(%r9),%eax", 0x41, 0x8b, 0x41, 0x0c)
    .op("add %r9,%rax", 0x4c, 0x01, 0xc8)
    .op("ret", 0xc3)
    .label("as asked")
    .op("mov %r10,%rax", 0x4c, 0x89, 0xd0)
    .op("ret", 0xc3)
    .label("equal") // (string, string): je if they are
    .op("movzbl (%rdi),%eax", 0x0f, 0xb6, 0x07)
    .op("cmp (%rsi),%al", 0x3a, 0x06)
    .to("jne", "unequal")
    .op("inc %rdi", 0x48, 0xff, 0xc7)
    .op("inc %rsi", 0x48, 0xff, 0xc6)
    .op("test %al,%al", 0x84, 0xc0)
    .to("jne", "equal")
    .label("unequal")
    .op("ret", 0xc3);
}

/** djb2 of the bytes, in 32 bits. */
const [HASH_SEED, HASH_FACTOR] = [5381, 33] as const;

function hash(name: Uint8Array): number {
  return name.reduce((sum, byte) => (Math.imul(sum, HASH_FACTOR) + byte) >>> 0, HASH_SEED);
}

const ENTRY_SIZE = 16;

/** Each entry is hash, kind, and how far behind the entry name and path are, of 32 bits each; one of zeroes ends it. */
function emitTable(to: Assembler, { files, detours, started, agent }: AuditorTargets): void {
  const entries = [
    ...Array.from(detours, ([name, path]) => ({ name, path, kind: ENTRY.detour })),
    ...Array.from(files, ([name, path]) => ({ name, path, kind: ENTRY.file })),
    ...(started === undefined ? [] : [{ name: started, path: "", kind: ENTRY.started }]),
  ].map(({ name, path, kind }) => ({ name: encoder.encode(name), path: encoder.encode(path), kind }));
  to.align(8).label("table");
  let at = (entries.length + 1) * ENTRY_SIZE;
  entries.forEach(({ name, path, kind }, i) => {
    const nameAt = at - i * ENTRY_SIZE;
    const pathAt = nameAt + name.length + 1;
    to.quad(words(hash(name), kind)).quad(words(nameAt, pathAt));
    at += name.length + path.length + 2;
  });
  to.quad(0).quad(0);
  for (const { name, path } of entries) to.data(name, name.length + 1).data(path, path.length + 1);
  to.label("agent").data(encoder.encode(`${agent}\0`));
}

const words = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);
