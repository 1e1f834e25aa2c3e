// The machine code of a placeholder: what asks for the real thing to be put in its
// place, and what a function does of which nobody has. A function of the source is
//
//   push $INDEX    of its symbol
//   jmp missing
//
// and `missing` finds the name by the object's own tables, which stay what they were.

import { type Assembler, immediate } from "../../x86-64/assembler.ts";

export interface PlaceholderCodeOptions {
  /** Distances from the beginning of the code, in bytes: the ELF header, DT_SYMTAB, DT_STRTAB, and the slot with the attaching function. */
  readonly header: number;
  readonly symbols: number;
  readonly strings: number;
  readonly slot: number;
  /** What is written before and behind the name. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly status: number;
}

/** `init` and `missing`. */
export function emitPlaceholderCode(to: Assembler, options: PlaceholderCodeOptions): void {
  const { before, after, status } = options;
  to.outside("header", options.header)
    .outside("symbols", options.symbols)
    .outside("strings", options.strings)
    .outside("slot", options.slot);

  to.label("init") // (argc, argv, envp), which nobody wants
    .rip("lea header(%rip),%rdi", "header", 0x48, 0x8d, 0x3d)
    .rip("jmp *slot(%rip)", "slot", 0xff, 0x25)
    .align(16);

  to.label("missing") // (%rsp): the index
    .op("pop %rax", 0x58)
    .op("lea (%rax,%rax,2),%rax", 0x48, 0x8d, 0x04, 0x40) // a symbol is three quads
    .rip("lea symbols(%rip),%rcx", "symbols", 0x48, 0x8d, 0x0d)
    .op("mov (%rcx,%rax,8),%ecx", 0x8b, 0x0c, 0xc1) // st_name
    .rip("lea strings(%rip),%rax", "strings", 0x48, 0x8d, 0x05)
    .op("add %rcx,%rax", 0x48, 0x01, 0xc8)
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .label("count")
    .op("cmpb $0x0,(%rax,%rcx,1)", 0x80, 0x3c, 0x08, 0)
    .to("je", "write")
    .op("inc %rcx", 0x48, 0xff, 0xc1)
    .to("jmp", "count");
  // three struct iovec, the last one first
  to.label("write")
    .op(`push $0x${after.length.toString(16)}`, 0x68, ...immediate(after.length))
    .rip("lea after(%rip),%rdx", "after", 0x48, 0x8d, 0x15)
    .op("push %rdx", 0x52)
    .op("push %rcx", 0x51)
    .op("push %rax", 0x50)
    .op(`push $0x${before.length.toString(16)}`, 0x68, ...immediate(before.length))
    .rip("lea before(%rip),%rdx", "before", 0x48, 0x8d, 0x15)
    .op("push %rdx", 0x52)
    .op("mov $0x2,%edi", 0xbf, 2, 0, 0, 0)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .op("mov $0x3,%edx", 0xba, 3, 0, 0, 0)
    .op("mov $0x14,%eax", 0xb8, 20, 0, 0, 0)
    .op("syscall # writev", 0x0f, 0x05)
    .op(`mov $0x${status.toString(16)},%edi`, 0xbf, status, 0, 0, 0)
    .op("mov $0xe7,%eax", 0xb8, 231, 0, 0, 0)
    .op("syscall # exit_group", 0x0f, 0x05)
    .op("hlt", 0xf4)
    .label("before")
    .data(before)
    .label("after")
    .data(after)
    .align(STUB_SIZE);
}

export const STUB_SIZE = 16;
const PUSH = 0x68;
const JUMP = 0xe9;
const TRAP = 0xcc;

/** A stub for each of these symbols, so many bytes behind `missing`; not by the assembler, as there are thousands. */
export function stubs(symbols: readonly number[], distance: number): Uint8Array {
  const bytes = new Uint8Array(symbols.length * STUB_SIZE).fill(TRAP);
  const view = new DataView(bytes.buffer);
  symbols.forEach((symbol, i) => {
    const at = i * STUB_SIZE;
    bytes[at] = PUSH;
    view.setInt32(at + 1, symbol, true);
    bytes[at + 5] = JUMP;
    view.setInt32(at + 6, -(distance + at + 10), true);
  });
  return bytes;
}
