// The auditor of a launch (rtld-audit(7)): ld.so asks it where to look for a library, before it looks anywhere itself.
// So isolated libraries are found whatever LD_LIBRARY_PATH, DT_RPATH and the command line of an ld.so say, and also
// where the program opens the runtime's copy by path. It only sees names: no call goes through it.
//
// It has no libc, needs no library, and is in a namespace of its own.

import { LinkMap } from "../../../lib/loader/link-map.ts";
import { PAGE_SIZE } from "../../../lib/memory/numbers.ts";
import { Assembler, type CodeAndData } from "../../../lib/x86-64/assembler.ts";
import { al, eax, ecx, edi, edx, r9d } from "../../../lib/x86-64/narrow-registers.ts";
import { char, mem, rip } from "../../../lib/x86-64/operands.ts";
import { r8, r9, r10, rax, rcx, rdi, rdx, rsi } from "../../../lib/x86-64/registers.ts";
import { emitMoreRoom, ROOM_WORDS } from "./more-room.ts";
import { type ChosenFile, emitIsReachable, emitOlder, type OlderTargets } from "./older-libc.ts";
import { emitReexecStub } from "./reexec-stub.ts";
import { emitSonameOf, SONAME_BUFFERS } from "./soname.ts";
import { emitBegins } from "./vectors.ts";

/**
 * Prefix of a path that is to be opened as it is: the linking thread has glibc open files of host trees that have the
 * names of isolated libraries, and for a path the auditor cannot tell the requester. Without an auditor the prefixed
 * path is the same file.
 */
export const AS_IT_IS = "/./.";

/** What ld.so gets instead of what it asks for. */
export interface AuditorTargets {
  /** File name → path. A requested path is looked up by the file's soname, or by its last part: see standsFor(). */
  readonly files: ReadonlyMap<string, string>;
  /** Take precedence over `files` until `started` is requested: they start a program over on another glibc. */
  readonly reexecStubs: ReadonlyMap<string, string>;
  readonly started: string | undefined;
  /** Come after `files`, once `started` has been requested. */
  readonly family: ReadonlyMap<string, string>;
  /** How processes that load an older libc are started over; undefined where they are left alone. */
  readonly older: OlderTargets | undefined;
  /** The files that processes are started over with: the ld.so and its libc; empty where none is started over. */
  readonly chosen: readonly ChosenFile[];
  /**
   * The agent's path, as in `files`. `auditedAt` is the offset, in bytes from its load bias, of the 64-bit word that
   * says that the process is audited.
   */
  readonly agent: string;
  readonly auditedAt: number;
  /** Of the audit interface, as passed to la_version: with an older ld.so the auditor withdraws. */
  readonly leastVersion: number;
  /** Static thread-local data to keep available to isolated libraries, in bytes. */
  readonly staticTls: number;
}

const { l_addr, l_name } = LinkMap.offsetOf;
const LA_SER_ORIG = 1;

/** How an entry of the table is treated. */
const KINDS = { file: 0, reexecStub: 1, started: 2, family: 3 } as const;

/** `la_version`, `la_objopen`, `la_activity`, `la_objsearch`, and the initialiser `note environment`. */
export function auditorCode(targets: AuditorTargets): CodeAndData {
  const to = new Assembler();
  emitAuditor(to, targets);
  emitTable(to, targets);
  if (targets.chosen.length > 0) emitIsReachable(to, targets.chosen);
  if (targets.older) {
    emitOlder(to, targets.older);
    emitReexecStub(to, targets.older);
  } else emitBegins(to);
  to.align(PAGE_SIZE);
  const dataAt = to.length;
  for (const name of ["is started", "stack end", ...ROOM_WORDS]) to.label(name).quad(0);
  for (const [name, size] of SONAME_BUFFERS) to.label(name).data(new Uint8Array(0), size);
  return { code: to.assemble(), dataAt };
}

/** An auditor that ld.so unloads at once: `la_version` returns 0. */
export const idleAuditorCode = (): CodeAndData => ({
  code: new Assembler().label("la_version").xor(eax, eax).ret().assemble(),
  dataAt: PAGE_SIZE,
});

/**
 * Needs `table`, `agent`, `is started`, what emitSonameOf and emitMoreRoom need, and `older` and `is reachable` if
 * those targets are given.
 */
export function emitAuditor(
  to: Assembler,
  targets: Pick<AuditorTargets, "leastVersion" | "auditedAt" | "staticTls" | "older" | "chosen">,
): void {
  const { leastVersion, auditedAt, staticTls, older, chosen } = targets;
  emitVersion(to, leastVersion, chosen.length > 0);
  emitOpened(to, auditedAt, older !== undefined);
  emitSearch(to);
  emitLookUp(to);
  emitEqual(to);
  emitSonameOf(to);
  emitMoreRoom(to, staticTls);
}

/**
 * (version): returns it, or 0, at which ld.so silently unloads the auditor. An older ld.so is accepted where the
 * process can be started over.
 */
function emitVersion(to: Assembler, least: number, isStartedOver: boolean): void {
  to.label("la_version").cmp(least, edi).jae("sound version");
  if (isStartedOver) to.push(rdi).call("is reachable").pop(rdi).je("sound version");
  to.xor(eax, eax).ret();
  to.label("sound version").mov(edi, eax).ret();
}

/**
 * (link_map, namespace, cookie): stores the namespace in the cookie, which identifies later requesters, tells the agent
 * that the auditor is there, and makes room for static thread-local data. For a libc that is too old, `older` does not
 * return.
 */
function emitOpened(to: Assembler, auditedAt: number, hasOlder: boolean): void {
  to.label("la_objopen").mov(rsi, mem(rdx)).test(rsi, rsi).jne("noted");
  to.mov(rdi, r8);
  if (hasOlder) to.call("older");
  to.mov(mem(r8, l_name), rdi).lea(rip("agent"), rsi).call("equal").jne("not the agent");
  to.mov(mem(r8, l_addr), rax).movq(1, mem(rax, auditedAt));
  to.label("not the agent").mov(r8, rdi).call("make room");
  to.label("noted").xor(eax, eax).ret();
}

/**
 * (name, requester's cookie, flag): returns the name, or another path. Only requests from the program's side are looked
 * up, and only before ld.so has looked anywhere.
 *
 * A path may be a link of any name to a file of any name: the soname in the file says which library it is. What cannot
 * be opened, or is no library, is left to ld.so, which reports it.
 */
function emitSearch(to: Assembler): void {
  to.label("la_objsearch").mov(rdi, r10).cmp(LA_SER_ORIG, edx).jne("as asked");
  for (const [i, character] of [...AS_IT_IS].entries()) to.cmpb(char(character), mem(rdi, i)).jne("for the program");
  to.lea(mem(rdi, AS_IT_IS.length), rax).ret();
  // r10 is the name, r8 its last part; r9d is not 0 if ld.so has yet to expand the name ($ORIGIN).
  to.label("for the program").cmpq(0, mem(rsi)).jne("as asked");
  to.mov(rdi, rcx).xor(r9d, r9d);
  to.label("part").mov(rcx, r8);
  to.label("letter").movzbl(mem(rcx), eax).inc(rcx).test(al, al).je("parted");
  to.cmp(char("/"), al).je("part").cmp(char("$"), al).jne("letter").inc(r9d).jmp("letter");
  to.label("parted").cmp(r8, r10).je("by its name").test(r9d, r9d).jne("by its name");
  to.push(r8, r10).call("soname of").pop(r10, r8).test(rax, rax).je("as asked");
  to.push(r8).mov(rax, r8).call("look up").pop(r8).je("known");
  to.label("by its name").call("look up").jne("as asked");
  to.label("known").cmpl(KINDS.started, mem(r9, Entry.kind)).jne("found");
  to.lea(rip("is started"), rsi).movb(1, mem(rsi)).jmp("as asked");
  to.label("found");
  // It may be a link to a file that a sandbox hides.
  to.mov(mem(r9, Entry.path), edi).add(r9, rdi).systemCall("access", rdi, 0).test(eax, eax).jne("as asked");
  to.mov(mem(r9, Entry.path), eax).add(r9, rax).ret();
  to.label("as asked").mov(r10, rax).ret();
}

/** (r8: a name): `je` if the name has an entry that applies at this point, which is then in r9. Keeps r8 and r10. */
function emitLookUp(to: Assembler): void {
  to.label("look up").mov(r8, rcx).mov(HASH_SEED, edx);
  to.label("sum").movzbl(mem(rcx), eax).inc(rcx).test(al, al).je("summed");
  to.imul(HASH_FACTOR, edx, edx).add(eax, edx).jmp("sum");
  to.label("summed").lea(rip("table"), r9);
  to.label("entry").mov(mem(r9, Entry.name), eax).test(eax, eax).je("no entry");
  to.cmp(edx, mem(r9, Entry.hash)).jne("next entry");
  to.lea(mem(r9, 0, rax), rsi).mov(r8, rdi);
  to.call("equal").jne("next entry");
  to.mov(mem(r9, Entry.kind), ecx).lea(rip("is started"), rsi);
  to.cmp(KINDS.reexecStub, ecx).je("unless started").cmp(KINDS.family, ecx).je("if started");
  to.label("an entry").cmp(eax, eax).ret();
  to.label("if started").cmpb(0, mem(rsi)).jne("an entry");
  to.label("next entry").add(Entry.size, r9).jmp("entry");
  to.label("unless started").cmpb(0, mem(rsi)).jne("next entry").ret();
  to.label("no entry").inc(eax).ret(); // not equal
}

/** (string, string): `je` if they are equal. */
function emitEqual(to: Assembler): void {
  to.label("equal").movzbl(mem(rdi), eax).cmp(mem(rsi), al).jne("unequal");
  to.inc(rdi).inc(rsi).test(al, al).jne("equal");
  to.label("unequal").ret();
}

/** djb2 of the bytes, in 32 bits. */
const [HASH_SEED, HASH_FACTOR] = [5381, 33] as const;

function hash(name: Uint8Array): number {
  return name.reduce((sum, byte) => (Math.imul(sum, HASH_FACTOR) + byte) >>> 0, HASH_SEED);
}

/** Fields of an entry, 32 bits each; the last two are offsets from the entry. An entry of zeroes ends the table. */
const Entry = { hash: 0, kind: 4, name: 8, path: 12, size: 16 } as const;

function emitTable(to: Assembler, { files, reexecStubs, started, family, agent }: AuditorTargets): void {
  const entries = [
    ...Array.from(reexecStubs, ([name, path]) => ({ name, path, kind: KINDS.reexecStub })),
    ...Array.from(files, ([name, path]) => ({ name, path, kind: KINDS.file })),
    ...Array.from(family, ([name, path]) => ({ name, path, kind: KINDS.family })),
    ...(started === undefined ? [] : [{ name: started, path: "", kind: KINDS.started }]),
  ].map(({ name, path, kind }) => ({ name: Buffer.from(name), path: Buffer.from(path), kind }));
  to.align(8).label("table");
  let at = (entries.length + 1) * Entry.size;
  entries.forEach(({ name, path, kind }, i) => {
    const nameAt = at - i * Entry.size;
    const pathAt = nameAt + name.length + 1;
    to.quad(words(hash(name), kind)).quad(words(nameAt, pathAt));
    at += name.length + path.length + 2;
  });
  to.quad(0).quad(0);
  for (const { name, path } of entries) to.data(name, name.length + 1).data(path, path.length + 1);
  to.texts({ agent });
}

const words = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);
