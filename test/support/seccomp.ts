// What Flatpak lets no program call that is not run for its developer (flatpak 1.19,
// common/flatpak-run.c), as a filter for bubblewrap's --seccomp; without what it refuses for
// some arguments only, but for clone: personality, ioctl, families of sockets.

const LOAD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const IF_EQUAL = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_SET = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN = 0x06; // BPF_RET | BPF_K

// seccomp_data
const NUMBER = 0;
const FIRST_ARGUMENT = 16;

const ALLOW = 0x7fff0000;
const ERRNO = 0x00050000;
const EPERM = 1;
const ENOSYS = 38;

/** syslog uselib acct quotactl, keys, NUMA, unshare setns mount umount2 pivot_root chroot, perf_event_open ptrace */
const FORBIDDEN = [103, 134, 163, 179, 248, 249, 250, 237, 238, 239, 256, 279, 272, 308, 165, 166, 155, 161, 298, 101];
/** process_vm_readv process_vm_writev: what Flatpak allows, and others may not. */
export const OTHERS_MEMORY = [310, 311];
/** clone3, open_tree … fspick, mount_setattr */
const UNKNOWN = [435, 428, 429, 430, 431, 432, 433, 442];
const CLONE = 56;
const CLONE_NEWUSER = 0x10000000;

type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, operand: number];

const refuse = (call: number, errno: number): Instruction[] => [
  [IF_EQUAL, 0, 1, call],
  [RETURN, 0, 0, ERRNO | errno],
];

export function flatpakFilter(more: readonly number[] = []): Uint8Array {
  const program: Instruction[] = [
    [LOAD, 0, 0, NUMBER],
    ...[...FORBIDDEN, ...more].flatMap((call) => refuse(call, EPERM)),
    ...UNKNOWN.flatMap((call) => refuse(call, ENOSYS)),
    [IF_EQUAL, 0, 3, CLONE],
    [LOAD, 0, 0, FIRST_ARGUMENT],
    [IF_SET, 0, 1, CLONE_NEWUSER],
    [RETURN, 0, 0, ERRNO | EPERM],
    [RETURN, 0, 0, ALLOW],
  ];
  const view = new DataView(new ArrayBuffer(program.length * 8));
  for (const [i, [code, whenTrue, whenFalse, operand]] of program.entries()) {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, whenTrue);
    view.setUint8(i * 8 + 3, whenFalse);
    view.setUint32(i * 8 + 4, operand, true);
  }
  return new Uint8Array(view.buffer);
}
