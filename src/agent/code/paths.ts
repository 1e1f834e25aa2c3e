// Functions that take a path, in front of glibc's. For them /proc/self/exe is the program's own file, where the kernel
// has Bun's; a path in the system's directories (/usr, /etc, the stores of NixOS and Guix) that a host library uses is
// looked for in its host tree first.

import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { eax, ecx, edx, esi, r8d, r10b, r10d, r11b, r11d } from "../../../lib/x86-64/narrow-registers.ts";
import { char, mem, type Register, rip } from "../../../lib/x86-64/operands.ts";
import { r10, r11, rax, rcx, rdi, rdx, rsi, rsp } from "../../../lib/x86-64/registers.ts";
import { Kind } from "../protocol.ts";
import { askForTarget } from "./ask.ts";
import type { Find } from "./in-front.ts";

/** The registers of the first arguments, each with that of the next one. */
const ARGUMENTS = [
  { register: rdi, next: esi },
  { register: rsi, next: edx },
  { register: rdx, next: ecx },
] as const;

const AT_SYMLINK_NOFOLLOW = 0x100;
/** O_WRONLY, O_RDWR, O_CREAT, O_NOFOLLOW. */
const NOT_JUST_READ = 0x20043;
/** The kernel maps nothing below it (vm.mmap_min_addr). */
const LEAST_ADDRESS = 0x1_0000;

/** A function of glibc with a path among its arguments. */
interface PathFunction {
  /** Which argument is the path. */
  readonly path: 0 | 1 | 2;
  /** The next argument is open(2)'s flags. */
  readonly hasFlags?: true;
  /** The next argument is fopen(3)'s mode. */
  readonly hasMode?: true;
  /** The register with flags that may include AT_SYMLINK_NOFOLLOW. */
  readonly at?: Register<32>;
  /** It does not follow a symbolic link, and /proc/self/exe is one. */
  readonly isLink?: true;
  /** It runs the file. */
  readonly runs?: true;
}

const named = (names: string, description: PathFunction): [string, PathFunction][] =>
  names.split(" ").map((name) => [name, description]);

/** Functions that a libc does not have are skipped: __xstat and its like are what stat was before glibc 2.33. */
const PATH_FUNCTIONS: ReadonlyMap<string, PathFunction> = new Map([
  ...named("open open64 __open_2 __open64_2", { path: 0, hasFlags: true }),
  ...named("openat openat64 __openat_2 __openat64_2", { path: 1, hasFlags: true }),
  ...named("fopen fopen64 freopen freopen64", { path: 0, hasMode: true }),
  ...named("opendir scandir scandir64", { path: 0 }),
  ...named("stat stat64 access eaccess euidaccess statfs statfs64 statvfs statvfs64", { path: 0 }),
  ...named("__xstat __xstat64", { path: 1 }),
  ...named("fstatat fstatat64 faccessat", { path: 1, at: ecx }),
  ...named("statx", { path: 1, at: edx }),
  ...named("__fxstatat __fxstatat64", { path: 2, at: r8d }),
  ...named("realpath __realpath_chk canonicalize_file_name", { path: 0 }),
  ...named("bindtextdomain", { path: 1 }),
  ...named("lstat lstat64", { path: 0, isLink: true }),
  ...named("__lxstat __lxstat64", { path: 1, isLink: true }),
  ...named("execve execv execvp execvpe execl execle execlp", { path: 0, runs: true }),
  ...named("posix_spawn posix_spawnp execveat", { path: 1, runs: true }),
]);

/** Which argument is the path; the buffer and its length follow it. */
const READLINK_FUNCTIONS = { readlink: 0, __readlink_chk: 0, readlinkat: 1, __readlinkat_chk: 1 };

/** Directories with the system's own files, and none of a user's. */
const SYSTEM = ["/usr/", "/etc/", "/nix/store/", "/gnu/store/", "/run/opengl-driver/", "/run/current-system/"];

/** Functions that run a command given to the shell. */
const SHELL_FUNCTIONS = ["system", "popen"];

export interface PathTargets {
  /**
   * The program's own file; undefined where the surrounding code has it at `own path`, and its length at `own length`.
   */
  readonly program: string | undefined;
  /** There is a host tree other than the machine itself. */
  readonly hasTree: boolean;
  /** The program is in Bun's process: what it runs leaves that process, and /proc does not show its own file. */
  readonly isHosted: boolean;
  /** glibc's own function of that name, if it has one. */
  readonly find: Find | Anchored;
}

/** Functions in a process that does not exist yet. They proceed without asking: there is no server. */
export interface Anchored {
  /** The label of a quad with the address of one of libc's functions. */
  readonly anchor: string;
  /** The distance from there to another one, if there is one. */
  distanceOf(name: string): number | undefined;
}

/** Emits all functions that exist, each at a label of its name, and returns the names. Needs emitAgent's `request`. */
export function emitPathFunctions(to: Assembler, targets: PathTargets): string[] {
  const names: string[] = [];
  const shapes = new Map<string, PathFunction>();
  // Each loads glibc's own into r11 and jumps to the code of its shape, which is emitted once.
  const emit = (name: string, shape: string): void => {
    if (!emitReal(to, name, targets.find)) return;
    names.push(name);
    to.jmp(shape);
  };
  for (const [name, description] of PATH_FUNCTIONS) {
    if (description.runs && !targets.isHosted) continue;
    const { path, hasFlags, hasMode, at, isLink, runs } = description;
    const extras = { flags: hasFlags, mode: hasMode, [`%${at?.name}`]: at, link: isLink, runs };
    const shape = ["path", path, ...Object.entries(extras).flatMap(([word, has]) => (has ? [word] : []))].join(" ");
    shapes.set(shape, description);
    emit(name, shape);
  }
  for (const [name, path] of Object.entries(READLINK_FUNCTIONS)) emit(name, `readlink ${path}`);
  const asks = typeof targets.find === "function";
  if (targets.isHosted && asks) for (const name of SHELL_FUNCTIONS) emit(name, "shell");
  for (const [shape, description] of shapes) emitShape(to, shape, description, targets);
  for (const path of [0, 1] as const) emitReadlink(to, path, targets);
  if (asks) askForTarget(to.label("shell"), Kind.shell);
  emitTests(to, targets.program);
  return names;
}

/** Emits the beginning of a function, which loads glibc's own into r11. Returns whether there is one. */
function emitReal(to: Assembler, name: string, find: PathTargets["find"]): boolean {
  if (typeof find !== "function") {
    const distance = find.distanceOf(name);
    if (distance === undefined) return false;
    to.align(8).label(name).mov(rip(find.anchor), r11).add(distance, r11);
    return true;
  }
  const address = find(name);
  if (address === undefined) return false;
  to.align(8).label(`real ${name}`).quad(address);
  to.label(name).mov(rip(`real ${name}`), r11);
  return true;
}

/** The code for functions with that description; r11 is glibc's own. */
function emitShape(
  to: Assembler,
  shape: string,
  { path, hasFlags, hasMode, at, isLink, runs }: PathFunction,
  { hasTree, isHosted, find }: PathTargets,
): void {
  // Calls that write, or look at a link itself, are left to the kernel.
  const testExtras = () => {
    if (hasFlags) to.test(NOT_JUST_READ, ARGUMENTS[path].next).jne(go);
    if (hasMode) testMode(to, go);
    if (at) to.test(AT_SYMLINK_NOFOLLOW, at).jne(go);
  };
  const other = `${shape} other`;
  const go = `${shape} go`;
  const proceed = () => {
    if (runs && typeof find === "function") askForTarget(to, Kind.run + 256 * path);
    else to.jmp(r11);
  };
  loadPath(to.label(shape), path).cmp(LEAST_ADDRESS, rax).jb(go); // NULL, or no valid address
  if (!isLink && isHosted) {
    callTest(to, "is own file").jne(other);
    testExtras();
    to.lea(rip("own path"), ARGUMENTS[path].register);
    proceed();
    to.label(other);
  }
  if (hasTree && !runs) emitSystemTest(to, path, go, isLink ? Kind.link : Kind.file, testExtras);
  to.label(go);
  proceed();
}

/** Jumps to `go` if the mode, which comes after the path as first argument, allows writing. */
function testMode(to: Assembler, go: string): void {
  to.mov(rsi, rax).test(rax, rax).je(go);
  callTest(to, "reads only").jne(go);
}

/** Keeps r11. */
function callTest(to: Assembler, label: string): Assembler {
  return to.push(r11).call(label).pop(r11);
}

/** Asks where a path of the system is, unless `testExtras` jumps to `go`; jumps there for others. */
function emitSystemTest(to: Assembler, path: 0 | 1 | 2, go: string, kind: number, testExtras?: () => void): void {
  callTest(loadPath(to, path), "is system file").jne(go);
  testExtras?.();
  askForTarget(to, kind + 256 * path);
}

/** (path, buffer, size) or (directory, path, buffer, size): the path of the program's file, cut to the size. */
function emitReadlink(to: Assembler, path: 0 | 1, { hasTree, isHosted }: PathTargets): void {
  const shape = `readlink ${path}`;
  const other = `${shape} other`;
  const go = `${shape} go`;
  loadPath(to.label(shape), path).cmp(LEAST_ADDRESS, rax).jb(go);
  if (isHosted) {
    callTest(to, "is own file").jne(other);
    if (path === 0) to.test(rdx, rdx).jle(go).mov(rsi, rdi).mov(rdx, rcx);
    else to.test(rcx, rcx).jle(go).mov(rdx, rdi);
    to.lea(rip("own path"), rsi).mov(rip("own length"), eax).cmp(rax, rcx).cmova(rax, rcx);
    to.mov(rcx, rax).rep().movsb().ret();
    to.label(other);
  }
  if (hasTree) emitSystemTest(to, path, go, Kind.link);
  to.label(go).jmp(r11);
}

function loadPath(to: Assembler, path: 0 | 1 | 2): Assembler {
  return to.mov(ARGUMENTS[path].register, rax);
}

/**
 * `is own file` and `is system file`: whether the path at rax, which is not NULL, is /proc/self/exe by one of its
 * names, or below one of SYSTEM. The answer is in ZF; only rax, r10 and r11 are changed.
 */
function emitTests(to: Assembler, program: string | undefined): void {
  to.label("is own file").lea(rip("own proc"), r10).call("match").jne("other file");
  to.push(rax).lea(rip("own self"), r10).call("match").je("own tail");
  to.mov(mem(rsp), rax).lea(rip("own thread"), r10).call("match").je("own tail");
  to.mov(mem(rsp), rax).xor(r10d, r10d);
  to.label("own digit").movzbl(mem(rax), r11d).sub(char("0"), r11d).cmp(9, r11d).ja("own number");
  to.imul(10, r10d, r10d).add(r11d, r10d).inc(rax).jmp("own digit");
  to.label("own number").push(rax, rcx).systemCall("getpid").pop(rcx).cmp(eax, r10d).pop(rax).jne("own out");
  to.label("own tail").lea(rip("own exe"), r10).call("match").jne("own out");
  to.cmpb(0, mem(rax));
  to.label("own out").lea(mem(rsp, 8), rsp).ret();
  to.label("other file").test(rsp, rsp).ret();
  to.label("is system file").push(rax);
  for (const directory of SYSTEM) {
    to.mov(mem(rsp), rax).lea(rip(`system ${directory} directory`), r10);
    to.call("match").je("system out");
  }
  to.label("system out").lea(mem(rsp, 8), rsp).ret();
  // ZF is set if the string at rax begins with the one at r10; rax is then after that.
  to.label("match").mov(mem(r10), r11b).test(r11b, r11b).je("match done");
  to.cmp(r11b, mem(rax)).jne("match done");
  to.inc(rax).inc(r10).jmp("match");
  to.label("match done").ret();
  // ZF is set if the mode at rax, one of fopen's, begins with r and has no +.
  to.label("reads only").cmpb(char("r"), mem(rax)).jne("mode known");
  to.label("next of mode").inc(rax).mov(mem(rax), r10b).cmp(char("+"), r10b).je("writes");
  to.test(r10b, r10b).jne("next of mode");
  to.label("mode known").ret();
  to.label("writes").test(rsp, rsp).ret();
  to.texts({ "own proc": "/proc/", "own self": "self", "own thread": "thread-self", "own exe": "/exe" });
  for (const directory of SYSTEM) to.texts({ [`system ${directory} directory`]: directory });
  if (program === undefined) return;
  to.texts({ "own path": program }).align(8);
  to.quads({ "own length": Buffer.byteLength(program) });
}
