// Host trees and programs to spoil, and what has to come of it: one paragraph and an exit code.

import { expect } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ElfBytes } from "./elf-bytes.ts";
import { type HostVariant, LIBRARIES, type Notgl, notgl } from "./notgl.ts";
import { capsule, native, type Outcome, run } from "./run.ts";

export const FAILED = 125;
export const NOT_RUNNABLE = 126;
export const NOT_FOUND = 127;
export const USAGE = 2;

/** Milliseconds in which capsule has to give up. */
const PATIENCE = 10_000;
/** Bytes beyond those of a run that does nothing. */
const ROOM = 128 << 20;

export const SONAME = "libnotgl.so.0";
/** The file that SONAME is a link to in the red tree. */
export const FILE = `${LIBRARIES}/libnotgl.so.0.123.456`;

export class Workshop implements Disposable {
  readonly family: Notgl;
  /** A temporary directory. */
  readonly directory: string;
  private readonly idleRss: number;
  private count = 0;

  private constructor(family: Notgl, idleRss: number) {
    this.family = family;
    this.idleRss = idleRss;
    this.directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
  }

  static async open(variant: HostVariant): Promise<Workshop> {
    const { maxRss } = await run([process.execPath, "-e", "0"]);
    return new Workshop(await notgl(variant), maxRss);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }

  /** A path at which there is nothing yet. */
  fresh(name: string): string {
    this.count++;
    return join(this.directory, `${name}-${this.count}`);
  }

  /** A copy of the red host tree, to spoil. */
  redTree(): string {
    const tree = this.fresh("tree");
    cpSync(this.family.red, tree, { recursive: true, verbatimSymlinks: true });
    return tree;
  }

  /** Where such a copy has its helper. */
  helperIn(tree: string): string {
    return join(tree, this.family.reference, "libhelper.so.0");
  }

  damagedProgram(damage: (elf: ElfBytes) => void): string {
    const program = this.fresh("program");
    cpSync(this.family.programs.linkedToOne, program);
    damageFile(program, damage);
    return program;
  }

  /** Runs a program that shows libnotgl as the host tree has it. */
  show(tree: string, program = this.family.programs.linkedToOne, flags: string[] = []): Promise<Outcome> {
    const env = { LD_LIBRARY_PATH: this.family.reference };
    return capsule([...flags, "--host", tree, "--isolate", SONAME], program, [], { env, timeout: PATIENCE });
  }

  /** Runs a program on the libraries of the red tree without capsule. */
  natively(program: string): Promise<Outcome> {
    return native(program, [], { env: { LD_LIBRARY_PATH: join(this.family.red, LIBRARIES) }, timeout: PATIENCE });
  }

  expectRefusal(outcome: Outcome, exitCode: number, ...mentions: string[]): void {
    expect(outcome.stderr).toMatch(/^capsule: \S/);
    // one paragraph, so not Bun's report of an exception either
    expect(outcome.stderr).toMatch(/\S\n$/);
    expect(outcome.stderr).not.toMatch(/\n\s*\n/);
    expect(outcome.stderr).not.toMatch(/^ +at /m);
    for (const mention of mentions) expect(outcome.stderr).toContain(mention);
    expect(outcome.stdout).toBe("");
    expect(outcome.signal).toBeNull();
    expect(outcome.exitCode).toBe(exitCode);
    expect(outcome.maxRss).toBeLessThan(this.idleRss + ROOM);
  }
}

export function damageFile(path: string, damage: (elf: ElfBytes) => void): void {
  const elf = new ElfBytes(path);
  damage(elf);
  if (readFileSync(path).equals(elf.bytes)) throw new Error(`Nothing was damaged in ${path}`);
  elf.save(path);
}
