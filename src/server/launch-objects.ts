// The objects of a launch that are code: its agent, and its auditor. Assembling them takes some milliseconds. Between
// launches they differ by the directory's name and the nonce alone, so they are made for a name and a nonce that no
// launch has, kept beside the placeholders, and filled in.

import { basename, dirname, join } from "node:path";
import { readOwn } from "../../lib/own-files.ts";
import { librariesIn } from "../directories/library-path.ts";
import { agentObject, type Nonce } from "./agent-object.ts";
import { launchAuditor, type ReexecFiles } from "./auditor.ts";
import { keyOf, type PlaceholderCache } from "./placeholder-cache.ts";

/** What they are made from. */
export interface LaunchParts {
  /** The serving directory. */
  readonly directory: string;
  readonly nonce: Nonce;
  /** The channel's owner: an effective user ID. */
  readonly owner: number;
  /** Libraries that the agent binds to. */
  readonly needed: readonly string[];
  /** Undefined without an auditor: see launchAuditor(). */
  readonly audited: (ReexecFiles & { readonly names: readonly string[]; readonly staticTls: number }) | undefined;
}

export interface LaunchObjects {
  readonly agent: Uint8Array;
  readonly auditor: Uint8Array | undefined;
}

/** As mkdtemp(3) fills it in for a launch. */
const NAME = /^(?<prefix>.*)[A-Za-z0-9]{6}$/;
const MODEL_SUFFIX = "??????";
const MODEL_NONCE: Nonce = [0xd1b5_4a32_d192_ed03n, 0x8cb9_2ba7_2f3d_8dd7n];
/** A user whose TMPDIR is always another one would keep one for each launch. */
const MOST_KEPT = 16;
const KIND = "launch";

/** Throws what making them throws; `cache` may be missing. */
export function launchObjects(parts: LaunchParts, cache: PlaceholderCache | undefined): LaunchObjects {
  const name = basename(parts.directory);
  const prefix = NAME.exec(name)?.groups?.prefix;
  if (!cache || prefix === undefined) return make(parts);
  const modelName = `${prefix}${MODEL_SUFFIX}`;
  const model = { ...parts, directory: join(dirname(parts.directory), modelName), nonce: MODEL_NONCE };
  const key = `${KIND}${keyOf([JSON.stringify(model, asJson)])}`;
  const path = cache.find(key);
  const kept = path === undefined ? undefined : readOwn(path);
  const file = kept && fillIn(kept, modelName, parts) ? kept : undefined;
  if (file) return unpack(file);
  const made = pack(make(model));
  cache.limit(KIND, MOST_KEPT - 1);
  cache.add(key, made);
  if (!fillIn(made, modelName, parts)) throw new Error("Cannot write an agent: it does not have its nonce");
  return unpack(made);
}

function make({ directory, nonce, owner, needed, audited }: LaunchParts): LaunchObjects {
  const { bytes, auditedAt } = agentObject(directory, nonce, owner, needed);
  const auditor =
    audited && launchAuditor(librariesIn(directory), audited.names, audited, auditedAt, audited.staticTls);
  return { agent: bytes, auditor };
}

/** JSON has no maps, and no BigInts. */
const asJson = (_: string, value: unknown): unknown =>
  value instanceof Map ? [...value] : typeof value === "bigint" ? `${value}` : value;

/** Both, one behind the other, after the first one's length. */
function pack({ agent, auditor }: LaunchObjects): Buffer {
  const length = Buffer.alloc(8);
  length.writeUInt32LE(agent.length);
  return Buffer.concat([length, agent, auditor ?? new Uint8Array(0)]);
}

function unpack(file: Buffer): LaunchObjects {
  const end = 8 + file.readUInt32LE();
  return { agent: file.subarray(8, end), auditor: end < file.length ? file.subarray(end) : undefined };
}

/** Returns false for a file that is damaged: it does not have the model's nonce. */
function fillIn(file: Buffer, modelName: string, { directory, nonce }: LaunchParts): boolean {
  replaceAll(file, Buffer.from(modelName), Buffer.from(basename(directory)));
  return MODEL_NONCE.every((half, i) => replaceAll(file, word(half), word(nonce[i] ?? 0n)) === 1);
}

const word = (value: bigint): Buffer => Buffer.from(BigUint64Array.of(value).buffer);

/** Returns how often `from` was there; `to` is as long. */
function replaceAll(file: Buffer, from: Buffer, to: Buffer): number {
  let count = 0;
  for (let at = file.indexOf(from); at >= 0; at = file.indexOf(from, at + from.length), count++) file.set(to, at);
  return count;
}
