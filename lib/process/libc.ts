// The libc functions that a linker calls in its own process: the only file that calls dlopen and its family.

import { CFunction, FFIType, dlopen as ffi, type Pointer } from "bun:ffi";
import { openSync, readdirSync } from "node:fs";
import { LinkError } from "../link-error.ts";
import { addressOf, bytesAt, cString, ownMemory, pointer, pointerAt, stringAt, u32At, viewAt } from "../memory/live.ts";
import { type Address, add, hex, type Offset, toAddress } from "../memory/numbers.ts";
import { ERRNO, FUTEX_WAIT, FUTEX_WAKE, SYS } from "../x86-64/linux.ts";
import { address, bind } from "./bindings.ts";
import { Exec } from "./exec.ts";
import type { Call, Linking, Process } from "./process.ts";
import { newAction } from "./sigaction.ts";

const { ptr, i32, u64 } = FFIType;

/** This process, for passes that run in it. */
export class Libc implements Process {
  readonly pid = process.pid;
  readonly task = process.pid;
  readonly memory = ownMemory;
  handlesAreLinkMaps?: boolean;
  readonly #bound = bind();
  readonly #exec = new Exec(this.#bound.libc);
  #protections = 0;
  readonly #malloc: CallableFunction;
  /** Functions called like dlopen. */
  readonly #openers = new Map<Address, CallableFunction>();

  /**
   * malloc is the global scope's: the user may have preloaded one that replaces glibc's, and glibc frees with that too.
   * Everything that takes the loader's lock happens here, so that a thread may use the rest while others hold it.
   */
  constructor() {
    this.#malloc = CFunction({ ptr: pointer(this.mustFindSymbol("malloc")), args: [u64], returns: ptr });
  }

  stringAt(address: Address): string {
    return stringAt(address);
  }

  write(address: Address, bytes: Uint8Array): void {
    bytesAt(address, bytes.length).set(bytes);
  }

  /** From gnu_get_libc_version: "2.36". */
  get version(): string {
    return this.#bound.version;
  }

  /** Runs a pass, or a step of one, to its end: its calls are made immediately. */
  run<Result>(linking: Linking<Result>): Result {
    let step = linking.next();
    while (!step.done) {
      step = linking.next(step.value.map((each) => this.#call(each)));
    }
    return step.value;
  }

  #call({ name, at, arguments: list }: Call): number {
    const native = list.map((argument) => (typeof argument === "string" ? cString(argument) : argument));
    const { libc, loader } = this.#bound;
    if (name === "mprotect") this.#protections++;
    const callee = (at === undefined ? (name in libc ? libc : loader)[name as never] : this.#openerAt(at)) as (
      ...list: (number | Uint8Array)[]
    ) => number | bigint | null;
    // Opening may run constructors, and errno holds whatever Bun left in it.
    if (name === "dlopen" || name === "dlmopen") this.clearErrno();
    return Number(callee(...native) ?? 0);
  }

  #openerAt(at: Address): CallableFunction {
    const known = this.#openers.get(at);
    if (known) return known;
    const opener = CFunction({ ptr: pointer(at), args: [FFIType.ptr, FFIType.i32], returns: FFIType.ptr });
    this.#openers.set(at, opener);
    return opener;
  }

  /** Looks a name up in the process's global scope, resolving an IFUNC. */
  findSymbol(name: string, version?: string): Address | undefined {
    const { dlsym, dlvsym, dlerror } = this.#bound.loader;
    const found = address(
      version === undefined ? dlsym(null, cString(name)) : dlvsym(null, cString(name), cString(version)),
    );
    if (found === 0) dlerror();
    return found === 0 ? undefined : found;
  }

  /** Looks a name up in an object, by its handle, and its dependencies. */
  findSymbolIn(object: Address, name: string): Address | undefined {
    const { dlsym, dlerror } = this.#bound.loader;
    const found = address(dlsym(pointer(object), cString(name)));
    if (found === 0) dlerror();
    return found === 0 ? undefined : found;
  }

  /** Like findSymbol, for the addresses of C strings; 0 if there is none. */
  findSymbolAt(name: Address, version: Address | undefined): Address {
    const { dlsym, dlvsym } = this.#bound.loader;
    return address(version === undefined ? dlsym(null, pointer(name)) : dlvsym(null, pointer(name), pointer(version)));
  }

  /** Like findSymbol, but throws LinkError. */
  mustFindSymbol(name: string): Address {
    const found = this.findSymbol(name);
    if (found === undefined) throw new LinkError(`Cannot find "${name}" in this process`, { symbol: name });
    return found;
  }

  /** Makes a thread-specific data key with a destructor. Throws LinkError if no key is left. */
  makeKey(destructor: Address): number {
    const key = new Uint32Array([0xffffffff]);
    const create = pointer(this.mustFindSymbol("pthread_key_create"));
    const errno = CFunction({ ptr: create, args: [ptr, ptr], returns: i32 })(key, pointer(destructor));
    if (errno !== 0) throw new LinkError(`Cannot make a thread-specific value: errno ${errno}, all of them are taken`);
    return key[0] ?? 0;
  }

  /** How often page protections have been changed. */
  get protections(): number {
    return this.#protections;
  }

  /** Memory that is never freed, for data to which the program keeps pointers. */
  allocate(length: number): Address {
    const block = address(this.#malloc(length));
    if (block === 0) throw new LinkError(`Cannot allocate ${length} bytes`);
    return block;
  }

  /** Zeroed pages that are never freed: private, or shared with children made by fork(). Throws LinkError. */
  allocatePages(length: number, isShared: boolean): Address {
    const [PROT_READ_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS] = [3, 1, 2, 0x20];
    const flags = MAP_ANONYMOUS | (isShared ? MAP_SHARED : MAP_PRIVATE);
    const at = this.#bound.libc.mmap(null, length, PROT_READ_WRITE, flags, -1, 0);
    // MAP_FAILED is -1, which bun:ffi returns as a bigint
    if (typeof at !== "number" || at < 0) throw new LinkError(`Cannot map ${length} bytes`);
    return toAddress(at);
  }

  /** Reserves inaccessible pages, anywhere or at an address where nothing is mapped. Throws LinkError. */
  reservePages(length: number, at?: Address): Address {
    const [PROT_NONE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MAP_FIXED_NOREPLACE] = [0, 2, 0x20, 0x4000, 0x100000];
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at === undefined ? 0 : MAP_FIXED_NOREPLACE);
    const found = Number(this.#bound.libc.mmap(at === undefined ? null : pointer(at), length, PROT_NONE, flags, -1, 0));
    if (!(found > 0) || (at !== undefined && found !== at))
      throw new LinkError(
        `Cannot reserve ${length} bytes${at === undefined ? "" : ` at ${hex(at)}`}: ${at === undefined ? "there is no room" : "they are taken"}`,
      );
    return toAddress(found);
  }

  /** Maps pages of zeroes, replacing what is there. Throws LinkError. */
  mapZeroes(start: Address, length: number, protection: number): void {
    const MAP_PRIVATE_FIXED_ANONYMOUS = 0x32;
    const at = this.#bound.libc.mmap(pointer(start), length, protection, MAP_PRIVATE_FIXED_ANONYMOUS, -1, 0);
    if (Number(at) !== start) throw new LinkError(`Cannot map ${length} bytes at ${hex(start)}`);
  }

  /** Maps pages of a file privately, replacing what is there. Throws LinkError. */
  mapFile(start: Address, length: number, protection: number, descriptor: number, offset: Offset): void {
    const MAP_PRIVATE_FIXED = 0x12;
    const at = this.#bound.libc.mmap(pointer(start), length, protection, MAP_PRIVATE_FIXED, descriptor, offset);
    if (Number(at) !== start) throw new LinkError(`Cannot map ${length} bytes of a file at ${hex(start)}`);
  }

  /** Sleeps while the 32-bit word at an address has that value, at most `milliseconds`; may wake spuriously. */
  sleepOn(word: Address, value: number, milliseconds?: number): void {
    let timeout: BigInt64Array | null = null;
    if (milliseconds !== undefined) {
      const seconds = Math.floor(milliseconds / 1000);
      timeout = BigInt64Array.of(BigInt(seconds), BigInt(Math.round((milliseconds - 1000 * seconds) * 1e6)));
    }
    this.#bound.libc.syscall(SYS.futex, pointer(word), FUTEX_WAIT, value, timeout, null, 0);
  }

  /** Can a thread sleep on several words at once? Since Linux 5.16. */
  get canSleepOnAny(): boolean {
    this.#bound.libc.syscall(SYS.futex_waitv, null, 0, 0, null, null, 0);
    return this.#errno !== ERRNO.ENOSYS;
  }

  /** Like sleepOn, for several words at once. */
  sleepOnAny(words: readonly { readonly word: Address; readonly value: number }[], milliseconds?: number): void {
    const [FUTEX_32, CLOCK_MONOTONIC] = [2n, 1];
    // struct futex_waitv: val, uaddr, flags
    const waiters = new BigUint64Array(
      words.flatMap(({ word, value }) => [BigInt(value >>> 0), BigInt(word), FUTEX_32]),
    );
    let until: BigInt64Array | null = null;
    if (milliseconds !== undefined) {
      // An absolute time on CLOCK_MONOTONIC, which hrtime reads.
      const end = process.hrtime.bigint() + BigInt(Math.round(milliseconds * 1e6));
      until = BigInt64Array.of(end / 1_000_000_000n, end % 1_000_000_000n);
    }
    this.#bound.libc.syscall(
      SYS.futex_waitv,
      addressOf(waiters) as number as Pointer,
      words.length,
      0,
      until,
      CLOCK_MONOTONIC as Pointer,
      0,
    );
  }

  /** Wakes all threads that sleep on the word at an address. */
  wake(word: Address): void {
    const EVERYBODY = 0x7fff_ffff;
    this.#bound.libc.syscall(SYS.futex, pointer(word), FUTEX_WAKE, EVERYBODY, null, null, 0);
  }

  /** The descriptor need not be open. */
  close(descriptor: number): void {
    this.#bound.libc.close(descriptor);
  }

  /** Keeps a descriptor open across exec. */
  passOn(descriptor: number): void {
    this.#exec.passOn(descriptor);
  }

  /** Is it open, but closed on exec? */
  isClosedAtExec(descriptor: number): boolean {
    return this.#exec.isClosed(descriptor);
  }

  /**
   * Gives the calling thread its own descriptor table. 0 and 1 are /dev/null, 2 is the process's standard error or
   * /dev/null; no other descriptor is open. Returns false if the kernel refuses.
   */
  ownDescriptors(keepsError: boolean): boolean {
    const CLONE_FILES = 0x400;
    if (this.#bound.libc.unshare(CLONE_FILES) !== 0) return false;
    const nothing = openSync("/dev/null", "r+");
    for (const descriptor of keepsError ? [0, 1] : [0, 1, 2]) this.#bound.libc.dup2(nothing, descriptor);
    const keep = 3;
    const EVERYTHING = 0xffff_ffff;
    // Since Linux 5.9.
    if (this.#bound.libc.syscall(SYS.close_range, keep as Pointer, EVERYTHING, 0, null, null, 0) === 0n) return true;
    for (const name of readdirSync("/proc/thread-self/fd")) if (Number(name) >= keep) this.close(Number(name));
    return true;
  }

  /** Replaces a descriptor by a copy of another. */
  replaceDescriptor(descriptor: number, by: number): void {
    this.#bound.libc.dup2(by, descriptor);
  }

  /** Makes libc locate its character sets, which it does only once: GCONV_PATH may be unset or changed afterwards. */
  findCharacterSets(): void {
    const { iconv_open, iconv_close } = ffi("libc.so.6", {
      iconv_open: { args: [ptr, ptr], returns: ptr },
      iconv_close: { args: [ptr], returns: FFIType.i32 },
    }).symbols;
    // Both are built in.
    iconv_close(iconv_open(cString("UCS-4LE"), cString("UTF-8")));
  }

  /** Lowers the soft limit of open files to the parent process's if the hard limits are equal. Returns the new one. */
  lowerOpenFiles(): number | undefined {
    const RLIMIT_NOFILE = 7;
    const [own, parents] = [new BigUint64Array(2), new BigUint64Array(2)]; // struct rlimit: soft, hard
    const { prlimit } = this.#bound.libc;
    if (prlimit(0, RLIMIT_NOFILE, null, own) !== 0 || prlimit(process.ppid, RLIMIT_NOFILE, null, parents) !== 0)
      return undefined;
    const [soft = 0n, hard] = parents;
    if (hard !== own[1] || soft >= (own[0] ?? 0n)) return undefined;
    prlimit(0, RLIMIT_NOFILE, parents, null);
    return Number(soft);
  }

  get threadId(): number {
    return this.#bound.libc.gettid();
  }

  /** Copies memory of any process into `into`; returns the number of bytes read, or -1. */
  readMemory(pid: number, address: Address, into: Uint8Array): number {
    const [local, remote] = vectors(address, into);
    return Number(this.#bound.libc.process_vm_readv(pid, local, 1, remote, 1, 0));
  }

  /** Copies `bytes` into writable memory of a process; returns the number of bytes written, or -1. */
  writeMemory(pid: number, address: Address, bytes: Uint8Array): number {
    const [local, remote] = vectors(address, bytes);
    return Number(this.#bound.libc.process_vm_writev(pid, local, 1, remote, 1, 0));
  }

  /** Did the last call fail because this process may not make it (EPERM, ENOSYS, EACCES)? */
  get isRefusal(): boolean {
    return [ERRNO.EPERM, ERRNO.ENOSYS, ERRNO.EACCES].some((errno) => errno === this.#errno);
  }

  /** Sets a variable in the C environment, which Bun's process.env does not reach; without a value, removes it. */
  setEnvironment(name: string, value: string | Uint8Array | undefined): void {
    if (value === undefined) this.#bound.libc.unsetenv(cString(name));
    else {
      const text = typeof value === "string" ? cString(value) : Buffer.concat([value, Uint8Array.of(0)]);
      this.#bound.libc.setenv(cString(name), text, 1);
    }
  }

  /**
   * The addresses of the current C environment's strings, which glibc never frees. `environ` is the address of libc's
   * variable.
   */
  environment(environ = this.mustFindSymbol("environ")): Address[] {
    const strings: Address[] = [];
    let at = pointerAt(environ);
    for (let string = pointerAt(at); string !== 0; string = pointerAt(at)) {
      strings.push(string);
      at = add(at, 8);
    }
    return strings;
  }

  /**
   * Installs native code as a signal's sa_sigaction (sigaction(2)). Returns false, and does nothing, if the signal is
   * already handled or ignored.
   */
  handleSignal(signal: number, handler: Address): boolean {
    const before = newAction();
    const { sigaction } = this.#bound.libc;
    if (sigaction(signal, null, before) !== 0 || before.subarray(0, 8).some((byte) => byte !== 0)) return false;
    return sigaction(signal, newAction(handler), null) === 0;
  }

  /** Installs a handler unconditionally, also for signals that glibc reserves. Returns the kernel's previous record. */
  exchangeHandler(signal: number, handler: Address, restorer: Address): BigUint64Array {
    const [SA_SIGINFO, SA_RESTART, SA_RESTORER] = [4, 0x1000_0000, 0x0400_0000];
    // The kernel's struct sigaction: handler, flags, restorer, mask.
    const action = BigUint64Array.of(
      BigInt(handler),
      BigInt(SA_SIGINFO | SA_RESTART | SA_RESTORER),
      BigInt(restorer),
      0n,
    );
    const before = new BigUint64Array(action.length);
    this.#kernelAction(signal, action, before);
    return before;
  }

  restoreHandler(signal: number, action: BigUint64Array): void {
    this.#kernelAction(signal, action, undefined);
  }

  #kernelAction(signal: number, action: BigUint64Array, before: BigUint64Array | undefined): void {
    const MASK_SIZE = 8;
    const at = before === undefined ? 0 : addressOf(before);
    this.#bound.libc.syscall(SYS.rt_sigaction, signal as Pointer, addressOf(action), at, MASK_SIZE as Pointer, null, 0);
  }

  /** Gives a signal its default disposition. */
  resetSignal(signal: number): void {
    // Zeroes are SIG_DFL, no flags, an empty mask. glibc would add SA_RESTORER.
    this.#kernelAction(signal, new BigUint64Array(4), undefined);
  }

  /** Does the process exist, whatever its user? */
  isAlive(pid: number): boolean {
    return this.#bound.libc.kill(pid, 0) === 0 || this.#errno !== ERRNO.ESRCH;
  }

  /** Sends a signal to a thread of this process. Returns false if there is no such thread. */
  signalThread(id: number, signal: number): boolean {
    return this.#bound.libc.syscall(SYS.tgkill, this.pid as Pointer, id, signal, null, null, 0) === 0n;
  }

  /** Disables the calling thread's alternate signal stack. */
  dropSignalStack(): void {
    const SS_DISABLE = 2;
    const stack = BigUint64Array.of(0n, BigInt(SS_DISABLE), 0n); // stack_t: ss_sp, ss_flags, ss_size
    this.#bound.libc.sigaltstack(stack, null);
  }

  /** Gives an unused stdio stream its own buffer. `stream` is a FILE *. */
  setBuffer(stream: Address, isLineBuffered: boolean, size: number): void {
    const [IOFBF, IOLBF] = [0, 1];
    const mode = isLineBuffered ? IOLBF : IOFBF;
    this.#bound.libc.setvbuf(pointer(stream), pointer(this.allocate(size)), mode, size);
  }

  /**
   * The address of the program's headers according to ld.so: if ld.so was started by name, the kernel's value describes
   * ld.so.
   */
  programHeaders(): Address {
    const AT_PHDR = 3;
    return toAddress(Number(this.#bound.libc.getauxval(AT_PHDR)));
  }

  /** Not node:tty, which takes 7 ms to load (Bun 1.4.5). */
  isTerminal(descriptor: number): boolean {
    return this.#bound.libc.isatty(descriptor) === 1;
  }

  /** Names the calling thread (15 bytes count). */
  setThreadName(name: string): void {
    const PR_SET_NAME = 15;
    const text = cString(name);
    this.#bound.libc.prctl(PR_SET_NAME, addressOf(text) as number as Pointer, 0, 0, 0);
  }

  /** See Exec. */
  execute(path: string, list: readonly Uint8Array[], environment: readonly Uint8Array[]): number {
    return this.#exec.execute(path, list, environment);
  }

  /** The end of the data segment. */
  programBreak(): Address {
    return address(this.#bound.libc.sbrk(0));
  }

  /** Tells the kernel the process's memory layout; `map` is a struct prctl_mm_map. Returns false if it refuses. */
  setMemoryMap(map: Uint8Array): boolean {
    const [PR_SET_MM, PR_SET_MM_MAP] = [35, 14];
    const at = addressOf(map) as number;
    return this.#bound.libc.prctl(PR_SET_MM, PR_SET_MM_MAP as Pointer, at, map.length, 0) === 0;
  }

  /** Sets errno to 0, as when a thread starts. */
  clearErrno(): void {
    viewAt(address(this.#bound.libc.__errno_location()), 4).setInt32(0, 0, true);
  }

  get #errno(): number {
    return u32At(address(this.#bound.libc.__errno_location()));
  }

  /** Ends the process without running any handlers. */
  exitNow(code: number): never {
    this.#bound.libc._exit(code);
    throw new Error("_exit returned");
  }

  /** Registers a native function for process exit; it runs before all registered earlier. */
  atExit(code: Address): void {
    this.#bound.libc.__cxa_atexit(pointer(code), null, null);
  }
}

/** A struct iovec for each side. */
function vectors(address: Address, bytes: Uint8Array): [local: BigUint64Array, remote: BigUint64Array] {
  const length = BigInt(bytes.length);
  return [BigUint64Array.of(BigInt(addressOf(bytes)), length), BigUint64Array.of(BigInt(address), length)];
}
