// The machine code of a placeholder: what asks for the real thing to be put in its
// place, and what a function does of which nobody has yet. A function of the source is
//
//   push $INDEX    of its symbol
//   jmp missing
//
// and `missing` asks, too: somebody may call before the initializers have run (from
// DT_PREINIT_ARRAY, or from a library that does not say what it needs). If the object's
// own symbol table says afterwards where the function is, it goes on there.

import { type Assembler, immediate } from "../../x86-64/assembler.ts";
import { STT_GNU_IFUNC } from "../constants.ts";
import { Sym } from "../sym.ts";

interface PlaceholderCodeOptions {
  /**
   * Distances from the beginning of the code, in bytes: the ELF header, DT_SYMTAB, DT_STRTAB, and the slot with the
   * attaching function.
   */
  readonly header: number;
  readonly symbols: number;
  readonly strings: number;
  readonly slot: number;
  /** How many stubs follow the code. */
  readonly stubs: number;
  /** What is written before and behind the name. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly status: number;
}

/** `init` and `missing`. */
export function emitPlaceholderCode(to: Assembler, options: PlaceholderCodeOptions): void {
  const { before, after, status } = options;
  const size = options.stubs * STUB_SIZE;
  to.outside("header", options.header)
    .outside("symbols", options.symbols)
    .outside("strings", options.strings)
    .outside("slot", options.slot);

  to.label("init") // (argc, argv, envp), which nobody wants
    .rip("lea header(%rip),%rdi", "header", 0x48, 0x8d, 0x3d)
    .rip("jmp *slot(%rip)", "slot", 0xff, 0x25)
    .align(16);

  // (%rsp): the index of the symbol. What the caller has passed stays as it is.
  to.label("missing")
    .op("push %rdi", 0x57)
    .op("push %rsi", 0x56)
    .op("push %rdx", 0x52)
    .op("push %rcx", 0x51)
    .op("push %r8", 0x41, 0x50)
    .op("push %r9", 0x41, 0x51)
    .op("push %rax", 0x50)
    .op("sub $0x88,%rsp", 0x48, 0x81, 0xec, 0x88, 0x00, 0x00, 0x00)
    .op("movups %xmm0,(%rsp)", 0x0f, 0x11, 0x04, 0x24)
    .op("movups %xmm1,0x10(%rsp)", 0x0f, 0x11, 0x4c, 0x24, 0x10)
    .op("movups %xmm2,0x20(%rsp)", 0x0f, 0x11, 0x54, 0x24, 0x20)
    .op("movups %xmm3,0x30(%rsp)", 0x0f, 0x11, 0x5c, 0x24, 0x30)
    .op("movups %xmm4,0x40(%rsp)", 0x0f, 0x11, 0x64, 0x24, 0x40)
    .op("movups %xmm5,0x50(%rsp)", 0x0f, 0x11, 0x6c, 0x24, 0x50)
    .op("movups %xmm6,0x60(%rsp)", 0x0f, 0x11, 0x74, 0x24, 0x60)
    .op("movups %xmm7,0x70(%rsp)", 0x0f, 0x11, 0x7c, 0x24, 0x70)
    .rip("lea header(%rip),%rdi", "header", 0x48, 0x8d, 0x3d)
    .rip("call *slot(%rip)", "slot", 0xff, 0x15)
    .op("mov 0xc0(%rsp),%rax", 0x48, 0x8b, 0x84, 0x24, 0xc0, 0x00, 0x00, 0x00)
    .op("lea (%rax,%rax,2),%rax", 0x48, 0x8d, 0x04, 0x40)
    .rip("lea symbols(%rip),%rcx", "symbols", 0x48, 0x8d, 0x0d)
    .op("lea (%rcx,%rax,8),%rcx", 0x48, 0x8d, 0x0c, 0xc1)
    .op("mov 0x8(%rcx),%rax", 0x48, 0x8b, 0x41, Sym.offsetOf.st_value)
    .rip("lea header(%rip),%rdx", "header", 0x48, 0x8d, 0x15)
    .op("add %rdx,%rax", 0x48, 0x01, 0xd0)
    // still a stub?
    .rip("lea stubs(%rip),%rdx", "stubs", 0x48, 0x8d, 0x15)
    .op("mov %rax,%rsi", 0x48, 0x89, 0xc6)
    .op("sub %rdx,%rsi", 0x48, 0x29, 0xd6)
    .op(`cmp $0x${size.toString(16)},%rsi`, 0x48, 0x81, 0xfe, ...immediate(size))
    .to("jb", "tell")
    .op("mov 0x4(%rcx),%cl", 0x8a, 0x49, Sym.offsetOf.st_info)
    .op("and $0xf,%cl", 0x80, 0xe1, 0x0f)
    .op("cmp $0xa,%cl", 0x80, 0xf9, STT_GNU_IFUNC)
    .to("jne", "found")
    .op("call *%rax", 0xff, 0xd0)
    // the function takes the place of the index, as if the stub had been called from there
    .label("found")
    .op("mov %rax,0xc0(%rsp)", 0x48, 0x89, 0x84, 0x24, 0xc0, 0x00, 0x00, 0x00)
    .op("movups (%rsp),%xmm0", 0x0f, 0x10, 0x04, 0x24)
    .op("movups 0x10(%rsp),%xmm1", 0x0f, 0x10, 0x4c, 0x24, 0x10)
    .op("movups 0x20(%rsp),%xmm2", 0x0f, 0x10, 0x54, 0x24, 0x20)
    .op("movups 0x30(%rsp),%xmm3", 0x0f, 0x10, 0x5c, 0x24, 0x30)
    .op("movups 0x40(%rsp),%xmm4", 0x0f, 0x10, 0x64, 0x24, 0x40)
    .op("movups 0x50(%rsp),%xmm5", 0x0f, 0x10, 0x6c, 0x24, 0x50)
    .op("movups 0x60(%rsp),%xmm6", 0x0f, 0x10, 0x74, 0x24, 0x60)
    .op("movups 0x70(%rsp),%xmm7", 0x0f, 0x10, 0x7c, 0x24, 0x70)
    .op("add $0x88,%rsp", 0x48, 0x81, 0xc4, 0x88, 0x00, 0x00, 0x00)
    .op("pop %rax", 0x58)
    .op("pop %r9", 0x41, 0x59)
    .op("pop %r8", 0x41, 0x58)
    .op("pop %rcx", 0x59)
    .op("pop %rdx", 0x5a)
    .op("pop %rsi", 0x5e)
    .op("pop %rdi", 0x5f)
    .op("ret", 0xc3)
    .label("tell")
    .op("mov (%rcx),%ecx", 0x8b, 0x09)
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
    .align(STUB_SIZE)
    .label("stubs");
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
