// The agent of a launch, as an object that ld.so loads with the first shim.

import { join } from "node:path";
import { codeObject } from "../../lib/elf/write/code-object.ts";
import { PAGE_SIZE } from "../../lib/memory/numbers.ts";
import { agentCode, CHANNEL } from "../agent/code/connect.ts";
import { OUTSIDE_CHANNEL_SIZE } from "../agent/protocol.ts";
import { CHANNEL_FILE } from "../directories/library-path.ts";
import { MARK } from "../directories/private-directory.ts";
import { doorOf } from "./door.ts";

/** Its exported functions, by label. */
export const FUNCTIONS = {
  attach: "capsule_attach",
  late: "capsule_late",
  connect: "capsule_connect",
  disconnect: "capsule_disconnect",
  look: "capsule_look",
  complain: "capsule_complain",
} as const;

/** Room for the server to fill, in bytes: code first, then data that stays. */
export const AGENT_PAGES = 64 * PAGE_SIZE;
export const CODE_SIZE = 16 * PAGE_SIZE;

/** A number that only this launch's agents have. */
export type Nonce = readonly [first: bigint, second: bigint];

export function makeNonce(): Nonce {
  // Not from node:crypto, which takes 5 ms to load (Bun 1.4.5).
  const [first = 0n, second = 0n] = crypto.getRandomValues(new BigUint64Array(2));
  return [first, second];
}

/**
 * `owner` is the channel's, an effective user ID. `needed` are libraries that it binds to. `auditedAt` is where the
 * launch's auditor says that it is there, in bytes from the load bias.
 */
export function agentObject(
  directory: string,
  nonce: Nonce,
  owner: number,
  needed: readonly string[],
): { readonly bytes: Uint8Array; readonly auditedAt: number } {
  const { code, dataAt } = agentCode({
    channel: join(directory, CHANNEL_FILE),
    owner,
    door: doorOf(directory) ?? "",
    size: OUTSIDE_CHANNEL_SIZE,
    nonce,
    complaint: `capsule: isolated libraries cannot be linked: the server at "${directory}" is gone, or out of this process's reach (start the program again by capsule; --trace request says more)\n`,
  });
  const { bytes, labels } = codeObject({
    soname: MARK,
    needed,
    code,
    dataAt,
    functions: new Map([
      ...Object.entries(FUNCTIONS).map(([label, name]) => [name, label] as const),
      [CHANNEL, "map channel"],
    ]),
    indirect: new Set([CHANNEL]),
    imports: new Map([
      ["_r_debug", "debug"],
      ["program_invocation_name", "program name"],
      ["_dl_signal_error", "raise"],
    ]),
    // Internal to glibc (GLIBC_PRIVATE).
    weak: new Set(["_dl_signal_error"]),
    gate: { resolver: "gate", isLazy: "lazy", pltGot: "plt got" },
    zeroPages: AGENT_PAGES / PAGE_SIZE,
    nodelete: true,
  });
  const auditedAt = labels.get("audited");
  if (auditedAt === undefined) throw new Error(`Cannot write "${MARK}": there is no label "audited"`);
  return { bytes, auditedAt };
}
