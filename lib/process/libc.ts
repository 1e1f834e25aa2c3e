// This process and its libc, for passes that run in it: the only file that calls dlopen and its family. What the kernel
// does is in System and in what is built on it.

import { CFunction, FFIType, dlopen as ffi } from "bun:ffi";
import { LinkError } from "../link-error.ts";
import { bytesAt, cString, ownMemory, pointer, pointerAt, stringAt } from "../memory/live.ts";
import { type Address, add, alignUp, PAGE_SIZE, toAddress } from "../memory/numbers.ts";
import { address, bind } from "./bindings.ts";
import { Descriptors } from "./descriptors.ts";
import { Exec } from "./exec.ts";
import { Futexes } from "./futexes.ts";
import { Pages } from "./pages.ts";
import { PROT_EXEC, PROT_READ, protect } from "./patch.ts";
import type { Call, Linking, Process } from "./process.ts";
import { Signals } from "./signals.ts";
import { Symbols } from "./symbols.ts";
import { System } from "./system.ts";

const { ptr, i32, u64 } = FFIType;

export class Libc implements Process {
  readonly pid = process.pid;
  readonly task = process.pid;
  readonly memory = ownMemory;
  handlesAreLinkMaps?: boolean;
  readonly #bound = bind();
  /** From gnu_get_libc_version: "2.36". */
  readonly version = this.#bound.version;
  readonly system = new System();
  readonly pages = new Pages(this.system);
  readonly futexes = new Futexes(this.system);
  readonly descriptors = new Descriptors(this.system);
  readonly exec = new Exec(this.system);
  readonly signals = new Signals(this.system, this.#bound.libc.sigaction);
  readonly symbols = new Symbols(this.#bound.loader);
  /** How often page protections have been changed. */
  protections = 0;
  readonly #malloc: CallableFunction;
  /** Functions called like dlopen. */
  readonly #openers = new Map<Address, CallableFunction>();

  /**
   * malloc is the global scope's: the user may have preloaded one that replaces glibc's, and glibc frees with that too.
   * Everything that takes the loader's lock happens here, so that a thread may use the rest while others hold it.
   */
  constructor() {
    this.#malloc = CFunction({ ptr: pointer(this.symbols.mustFind("malloc")), args: [u64], returns: ptr });
  }

  stringAt(address: Address): string {
    return stringAt(address);
  }

  write(address: Address, bytes: Uint8Array): void {
    bytesAt(address, bytes.length).set(bytes);
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
    if (name === "mprotect") this.protections++;
    const callee = (at === undefined ? (name in libc ? libc : loader)[name as never] : this.#openerAt(at)) as (
      ...list: (number | Uint8Array)[]
    ) => number | bigint | null;
    // Opening may run constructors, and errno holds whatever Bun left in it.
    if (name === "dlopen" || name === "dlmopen") this.system.clearErrno();
    return Number(callee(...native) ?? 0);
  }

  #openerAt(at: Address): CallableFunction {
    const known = this.#openers.get(at);
    if (known) return known;
    const opener = CFunction({ ptr: pointer(at), args: [ptr, i32], returns: ptr });
    this.#openers.set(at, opener);
    return opener;
  }

  /** Calls a function of the global scope that returns an int, with what `types` says. Throws LinkError. */
  callByName(name: string, types: readonly FFIType[], ...list: readonly unknown[]): number {
    return CFunction({ ptr: pointer(this.symbols.mustFind(name)), args: [...types], returns: i32 })(...list);
  }

  /** Puts our machine code on pages of its own, which stay. Returns its address. Throws LinkError. */
  placeCode(code: Uint8Array): Address {
    const length = alignUp(code.length, PAGE_SIZE);
    const start = this.pages.allocate(length);
    this.write(start, code);
    this.run(protect([{ start, length, protection: PROT_READ | PROT_EXEC }]));
    return start;
  }

  /** Memory that is never freed, for data to which the program keeps pointers. */
  allocate(length: number): Address {
    const block = address(this.#malloc(length));
    if (block === 0) throw new LinkError(`Cannot allocate ${length} bytes`);
    return block;
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
  environment(environ = this.symbols.mustFind("environ")): Address[] {
    const strings: Address[] = [];
    let at = pointerAt(environ);
    for (let string = pointerAt(at); string !== 0; string = pointerAt(at)) {
      strings.push(string);
      at = add(at, 8);
    }
    return strings;
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

  /** Registers a native function for process exit; it runs before all registered earlier. */
  atExit(code: Address): void {
    this.#bound.libc.__cxa_atexit(pointer(code), null, null);
  }
}

/** Makes libc locate its character sets, which it does only once: GCONV_PATH may be unset or changed afterwards. */
export function findCharacterSets(): void {
  const { iconv_open, iconv_close } = ffi("libc.so.6", {
    iconv_open: { args: [ptr, ptr], returns: ptr },
    iconv_close: { args: [ptr], returns: i32 },
  }).symbols;
  // Both are built in.
  iconv_close(iconv_open(cString("UCS-4LE"), cString("UTF-8")));
}
