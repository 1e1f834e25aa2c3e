// Functions that take a path, in front of glibc's. The program's own file is behind
// /proc/self/exe, where the kernel has Bun's; what a host library has where systems have
// their files (/usr, /etc, the stores of NixOS and Guix) is looked for in its host tree first.

import type { Address } from "../../../lib/memory/numbers.ts";
import { type Assembler, immediate } from "../../../lib/x86-64/assembler.ts";
import { Kind } from "../protocol.ts";
import { askForTarget } from "./ask.ts";

const encoder = new TextEncoder();

/** The registers of the first arguments, each with the ModRM bytes of what is done with it, and the one behind it. */
const ARGUMENTS = [
  { register: "%rdi", lea: 0x3d, mov: 0xf8, next: "%esi", test: 0xc6 },
  { register: "%rsi", lea: 0x35, mov: 0xf0, next: "%edx", test: 0xc2 },
  { register: "%rdx", lea: 0x15, mov: 0xd0, next: "%ecx", test: 0xc1 },
] as const;

/** A function of glibc with a path among its arguments. */
interface PathFunction {
  /** Which argument is the path. */
  readonly path: 0 | 1 | 2;
  /** The next one is open(2)'s flags. */
  readonly hasFlags?: true;
  /** The next one is fopen(3)'s mode. */
  readonly hasMode?: true;
  /** The register with flags of which AT_SYMLINK_NOFOLLOW is one. */
  readonly at?: "%edx" | "%ecx" | "%r8d";
  /** It looks at a symbolic link itself, which /proc/self/exe is. */
  readonly isLink?: true;
  /** It runs what it is given. */
  readonly runs?: true;
}

const named = (names: string, description: PathFunction): [string, PathFunction][] =>
  names.split(" ").map((name) => [name, description]);

/** Those that a libc does not have are passed over: __xstat and its like are what stat was before glibc 2.33. */
export const PATH_FUNCTIONS: ReadonlyMap<string, PathFunction> = new Map([
  ...named("open open64 __open_2 __open64_2", { path: 0, hasFlags: true }),
  ...named("openat openat64 __openat_2 __openat64_2", { path: 1, hasFlags: true }),
  ...named("fopen fopen64 freopen freopen64", { path: 0, hasMode: true }),
  ...named("opendir scandir scandir64", { path: 0 }),
  ...named("stat stat64 access eaccess euidaccess statfs statfs64 statvfs statvfs64", { path: 0 }),
  ...named("__xstat __xstat64", { path: 1 }),
  ...named("fstatat fstatat64 faccessat", { path: 1, at: "%ecx" }),
  ...named("statx", { path: 1, at: "%edx" }),
  ...named("__fxstatat __fxstatat64", { path: 2, at: "%r8d" }),
  ...named("realpath __realpath_chk canonicalize_file_name", { path: 0 }),
  ...named("bindtextdomain", { path: 1 }),
  ...named("lstat lstat64", { path: 0, isLink: true }),
  ...named("__lxstat __lxstat64", { path: 1, isLink: true }),
  ...named("execve execv execvp execvpe execl execle execlp", { path: 0, runs: true }),
  ...named("posix_spawn posix_spawnp execveat", { path: 1, runs: true }),
]);

/** Where the buffer and its length are among the arguments, which the path precedes. */
export const READLINK_FUNCTIONS: ReadonlyMap<string, { readonly path: 0 | 1 }> = new Map([
  ["readlink", { path: 0 }],
  ["__readlink_chk", { path: 0 }],
  ["readlinkat", { path: 1 }],
  ["__readlinkat_chk", { path: 1 }],
]);

/** Where systems have files of their own, and no user has. */
const SYSTEM = ["/usr/", "/etc/", "/nix/store/", "/gnu/store/", "/run/opengl-driver/", "/run/current-system/"];

/** Functions that run a command given to the shell. */
const SHELL_FUNCTIONS = ["system", "popen"];

export interface PathTargets {
  /**
   * The program's own file; undefined where the code around has it at `own path`, and how long that is at `own length`.
   */
  readonly program: string | undefined;
  /** Has a host tree that is not the machine itself. */
  readonly hasTree: boolean;
  /** The program is in Bun's process: what it runs leaves that, and its own file is not what /proc says. */
  readonly isHosted: boolean;
  /** glibc's own function of that name, if it has one. */
  readonly find: ((name: string) => Address | undefined) | Anchored;
}

/** Functions in a process that does not exist yet. What they do goes on without asking: there is nobody. */
export interface Anchored {
  /** The label of a quad with the address of one function of libc's. */
  readonly anchor: string;
  /** How far behind it another one is, if there is one. */
  distanceOf(name: string): number | undefined;
}

/**
 * Emits all of them that there are, each at a label of its name, and returns the names. Needs emitAgent's `request`.
 */
export function emitPathFunctions(to: Assembler, targets: PathTargets): string[] {
  const names: string[] = [];
  const shapes = new Map<string, PathFunction>();
  // Each loads glibc's own into r11 and goes on in the code of its shape, of which there is one.
  const emit = (name: string, shape: string): void => {
    if (emitReal(to, name, targets.find)) names.push(name);
    else return;
    to.to("jmp", shape);
  };
  for (const [name, description] of PATH_FUNCTIONS) {
    if (description.runs && !targets.isHosted) continue;
    const { path, hasFlags, hasMode, at, isLink, runs } = description;
    const extras = { flags: hasFlags, mode: hasMode, [at ?? ""]: at, link: isLink, runs };
    const shape = ["path", path, ...Object.entries(extras).flatMap(([word, has]) => (has ? [word] : []))].join(" ");
    shapes.set(shape, description);
    emit(name, shape);
  }
  for (const [name, { path }] of READLINK_FUNCTIONS) emit(name, `readlink ${path}`);
  const asks = typeof targets.find === "function";
  if (targets.isHosted && asks) for (const name of SHELL_FUNCTIONS) emit(name, "shell");
  for (const [shape, description] of shapes) emitShape(to, shape, description, targets);
  for (const path of [0, 1] as const) emitReadlink(to, path, targets);
  if (asks) askForTarget(to.label("shell"), Kind.shell);
  emitTests(to, targets.program);
  return names;
}

/** Emits the beginning of a function: r11 is glibc's own then. Returns whether there is one. */
function emitReal(to: Assembler, name: string, find: PathTargets["find"]): boolean {
  if (typeof find !== "function") {
    const distance = find.distanceOf(name);
    if (distance === undefined) return false;
    to.align(8)
      .label(name)
      .rip("mov anchor(%rip),%r11", find.anchor, 0x4c, 0x8b, 0x1d)
      .op(`add $0x${BigInt.asUintN(64, BigInt(distance)).toString(16)},%r11`, 0x49, 0x81, 0xc3, ...immediate(distance));
    return true;
  }
  const address = find(name);
  if (address === undefined) return false;
  to.align(8)
    .label(`real ${name}`)
    .quad(address)
    .label(name)
    .rip("mov real(%rip),%r11", `real ${name}`, 0x4c, 0x8b, 0x1d);
  return true;
}

/** As a function with that description does; r11 is glibc's own. */
function emitShape(
  to: Assembler,
  shape: string,
  { path, hasFlags, hasMode, at, isLink, runs }: PathFunction,
  { hasTree, isHosted, find }: PathTargets,
): void {
  // Who writes, or looks at a link itself, is the kernel's business.
  const testExtras = (go: string) => {
    if (hasFlags) testFlags(to, path, go);
    if (hasMode) testMode(to, go);
    if (at) testNoFollow(to, at, go);
  };
  const other = `${shape} other`;
  const go = `${shape} go`;
  const proceed = () => {
    if (runs && typeof find === "function") askForTarget(to, Kind.run + 256 * path);
    else to.op("jmp *%r11", 0x41, 0xff, 0xe3);
  };
  to.label(shape);
  loadPath(to, path);
  to.op("cmp $0x10000,%rax", 0x48, 0x3d, 0x00, 0x00, 0x01, 0x00).to("jb", go); // NULL, or nothing that could be there
  if (!isLink && isHosted) {
    callTest(to, "is own file");
    to.to("jne", other);
    testExtras(go);
    const { register, lea } = ARGUMENTS[path];
    to.rip(`lea path(%rip),${register}`, "own path", 0x48, 0x8d, lea);
    proceed();
    to.label(other);
  }
  if (hasTree && !runs) emitSystemTest(to, path, go, isLink ? Kind.link : Kind.file, testExtras);
  to.label(go);
  proceed();
}

/** Goes to `go` where the mode behind the path, which is the first argument, is for writing, too. */
function testMode(to: Assembler, go: string): void {
  to.op("mov %rsi,%rax", 0x48, 0x89, 0xf0).op("test %rax,%rax", 0x48, 0x85, 0xc0).to("je", go);
  callTest(to, "reads only");
  to.to("jne", go);
}

/** Goes to `go` where AT_SYMLINK_NOFOLLOW is among the flags. */
function testNoFollow(to: Assembler, register: "%edx" | "%ecx" | "%r8d", go: string): void {
  const code = { "%edx": [0xf7, 0xc2], "%ecx": [0xf7, 0xc1], "%r8d": [0x41, 0xf7, 0xc0] }[register];
  to.op(`test $0x100,${register}`, ...code, 0x00, 0x01, 0x00, 0x00).to("jne", go);
}

/** Leaves r11 as it is. */
function callTest(to: Assembler, label: string): void {
  to.op("push %r11", 0x41, 0x53).to("call", label).op("pop %r11", 0x41, 0x5b);
}

/** Asks where a path of the system is, unless it would be written to; goes to `go` with others. */
function emitSystemTest(
  to: Assembler,
  path: 0 | 1 | 2,
  go: string,
  kind: number,
  testExtras?: (go: string) => void,
): void {
  loadPath(to, path);
  callTest(to, "is system file");
  to.to("jne", go);
  testExtras?.(go);
  askForTarget(to, kind + 256 * path);
}

/** Goes to `go` where O_WRONLY, O_RDWR, O_CREAT or O_NOFOLLOW is among the flags behind the path. */
function testFlags(to: Assembler, path: 0 | 1 | 2, go: string): void {
  const { next, test } = ARGUMENTS[path];
  to.op(`test $0x20043,${next}`, 0xf7, test, 0x43, 0, 2, 0).to("jne", go);
}

/** (path, buffer, size) or (directory, path, buffer, size): the path of the program's file, cut to the size. */
function emitReadlink(to: Assembler, path: 0 | 1, { hasTree, isHosted }: PathTargets): void {
  const shape = `readlink ${path}`;
  const other = `${shape} other`;
  const go = `${shape} go`;
  to.label(shape);
  loadPath(to, path);
  to.op("cmp $0x10000,%rax", 0x48, 0x3d, 0x00, 0x00, 0x01, 0x00).to("jb", go);
  if (!isHosted) {
    if (hasTree) emitSystemTest(to, path, go, Kind.link);
    to.label(go).op("jmp *%r11", 0x41, 0xff, 0xe3);
    return;
  }
  callTest(to, "is own file");
  to.to("jne", other);
  if (path === 0) {
    to.op("test %rdx,%rdx", 0x48, 0x85, 0xd2)
      .to("jle", go)
      .op("mov %rsi,%rdi", 0x48, 0x89, 0xf7)
      .op("mov %rdx,%rcx", 0x48, 0x89, 0xd1);
  } else to.op("test %rcx,%rcx", 0x48, 0x85, 0xc9).to("jle", go).op("mov %rdx,%rdi", 0x48, 0x89, 0xd7);
  to.rip("lea path(%rip),%rsi", "own path", 0x48, 0x8d, 0x35)
    .rip("mov length(%rip),%eax", "own length", 0x8b, 0x05)
    .op("cmp %rax,%rcx", 0x48, 0x39, 0xc1)
    .op("cmova %rax,%rcx", 0x48, 0x0f, 0x47, 0xc8)
    .op("mov %rcx,%rax", 0x48, 0x89, 0xc8)
    .op("rep movsb %ds:(%rsi),%es:(%rdi)", 0xf3, 0xa4)
    .op("ret", 0xc3)
    .label(other);
  if (hasTree) emitSystemTest(to, path, go, Kind.link);
  to.label(go).op("jmp *%r11", 0x41, 0xff, 0xe3);
}

function loadPath(to: Assembler, path: 0 | 1 | 2): void {
  const { register, mov } = ARGUMENTS[path];
  to.op(`mov ${register},%rax`, 0x48, 0x89, mov);
}

/**
 * `is own file` and `is system file`: is the path at rax, which is not NULL, /proc/self/exe by one of its names, or
 * below one of SYSTEM? The answer is in ZF; only rax, r10 and r11 are changed.
 */
function emitTests(to: Assembler, program: string | undefined): void {
  to.label("is own file")
    .rip("lea proc(%rip),%r10", "own proc", 0x4c, 0x8d, 0x15)
    .to("call", "match")
    .to("jne", "other file")
    .op("push %rax", 0x50)
    .rip("lea self(%rip),%r10", "own self", 0x4c, 0x8d, 0x15)
    .to("call", "match")
    .to("je", "own tail")
    .op("mov (%rsp),%rax", 0x48, 0x8b, 0x04, 0x24)
    .rip("lea thread(%rip),%r10", "own thread", 0x4c, 0x8d, 0x15)
    .to("call", "match")
    .to("je", "own tail")
    .op("mov (%rsp),%rax", 0x48, 0x8b, 0x04, 0x24)
    .op("xor %r10d,%r10d", 0x45, 0x31, 0xd2)
    .label("own digit")
    .op("movzbl (%rax),%r11d", 0x44, 0x0f, 0xb6, 0x18)
    .op("sub $0x30,%r11d", 0x41, 0x83, 0xeb, 0x30)
    .op("cmp $0x9,%r11d", 0x41, 0x83, 0xfb, 0x09)
    .to("ja", "own number")
    .op("imul $0xa,%r10d,%r10d", 0x45, 0x6b, 0xd2, 0x0a)
    .op("add %r11d,%r10d", 0x45, 0x01, 0xda)
    .op("inc %rax", 0x48, 0xff, 0xc0)
    .to("jmp", "own digit")
    .label("own number")
    .op("push %rax", 0x50)
    .op("push %rcx", 0x51)
    .op("mov $0x27,%eax", 0xb8, 0x27, 0x00, 0x00, 0x00)
    .op("syscall", 0x0f, 0x05)
    .op("pop %rcx", 0x59)
    .op("cmp %eax,%r10d", 0x41, 0x39, 0xc2)
    .op("pop %rax", 0x58)
    .to("jne", "own out")
    .label("own tail")
    .rip("lea exe(%rip),%r10", "own exe", 0x4c, 0x8d, 0x15)
    .to("call", "match")
    .to("jne", "own out")
    .op("cmpb $0x0,(%rax)", 0x80, 0x38, 0x00)
    .label("own out")
    .op("lea 0x8(%rsp),%rsp", 0x48, 0x8d, 0x64, 0x24, 0x08)
    .op("ret", 0xc3)
    .label("other file")
    .op("test %rsp,%rsp", 0x48, 0x85, 0xe4)
    .op("ret", 0xc3);
  to.label("is system file").op("push %rax", 0x50);
  for (const directory of SYSTEM)
    to.op("mov (%rsp),%rax", 0x48, 0x8b, 0x04, 0x24)
      .rip("lea directory(%rip),%r10", `system ${directory} directory`, 0x4c, 0x8d, 0x15)
      .to("call", "match")
      .to("je", "system out");
  to.label("system out").op("lea 0x8(%rsp),%rsp", 0x48, 0x8d, 0x64, 0x24, 0x08).op("ret", 0xc3);
  // Has the text at rax what r10 points at in front? Then rax is behind it.
  to.label("match")
    .op("mov (%r10),%r11b", 0x45, 0x8a, 0x1a)
    .op("test %r11b,%r11b", 0x45, 0x84, 0xdb)
    .to("je", "match done")
    .op("cmp %r11b,(%rax)", 0x44, 0x38, 0x18)
    .to("jne", "match done")
    .op("inc %rax", 0x48, 0xff, 0xc0)
    .op("inc %r10", 0x49, 0xff, 0xc2)
    .to("jmp", "match")
    .label("match done")
    .op("ret", 0xc3);
  // Is the mode at rax one of fopen's that begin with r and have no +?
  to.label("reads only")
    .op("cmpb $0x72,(%rax)", 0x80, 0x38, 0x72)
    .to("jne", "mode known")
    .label("next of mode")
    .op("inc %rax", 0x48, 0xff, 0xc0)
    .op("mov (%rax),%r10b", 0x44, 0x8a, 0x10)
    .op("cmp $0x2b,%r10b", 0x41, 0x80, 0xfa, 0x2b)
    .to("je", "writes")
    .op("test %r10b,%r10b", 0x45, 0x84, 0xd2)
    .to("jne", "next of mode")
    .label("mode known")
    .op("ret", 0xc3)
    .label("writes")
    .op("test %rsp,%rsp", 0x48, 0x85, 0xe4)
    .op("ret", 0xc3);
  for (const [label, text] of [
    ["own proc", "/proc/"],
    ["own self", "self"],
    ["own thread", "thread-self"],
    ["own exe", "/exe"],
    ...SYSTEM.map((directory) => [`system ${directory} directory`, directory] as const),
  ] as const)
    to.label(label).data(encoder.encode(`${text}\0`));
  if (program === undefined) return;
  const path = encoder.encode(`${program}\0`);
  to.label("own path")
    .data(path)
    .align(8)
    .label("own length")
    .quad(path.length - 1);
}
