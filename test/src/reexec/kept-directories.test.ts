import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { System } from "../../../lib/process/system.ts";
import { KeptDirectories } from "../../../src/reexec/kept-directories.ts";

const system = new System();
let home: string;
let store: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "capsule-kept-"));
  store = join(home, "capsule", "libraries.json");
});
afterEach(() => {
  rmSync(home, { recursive: true });
});

type Content = Parameters<KeptDirectories["with"]>[1];
const keptDirectory = (key: string, content: Content, store: string | undefined): string =>
  new KeptDirectories(store, system).with(key, content);

const LINKS = new Map([["libc.so.6", "/trees/one/libc.so.6"]]);

describe("a kept directory", () => {
  test("has its links and files, made for its path, and is this user's alone", () => {
    const files = { names: ["said"], make: (path: string) => new Map([["said", Buffer.from(path)]]) };
    const path = keptDirectory("key", { links: LINKS, files }, store);
    expect(readdirSync(path).sort()).toEqual(["libc.so.6", "said"]);
    expect(readlinkSync(join(path, "libc.so.6"))).toBe("/trees/one/libc.so.6");
    expect(readFileSync(join(path, "said"), "utf8")).toBe(path);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(readdirSync(dirname(path))).toHaveLength(1);
  });

  test("has files in directories, too", () => {
    const files = { names: ["a/said"], make: () => new Map([["a/said", Buffer.from("here")]]) };
    const path = keptDirectory("nested", { files }, store);
    expect(readFileSync(join(path, "a/said"), "utf8")).toBe("here");
    expect(keptDirectory("nested", { files }, store)).toBe(path);
  });

  test("is made once, and another for other content", () => {
    let made = 0;
    const make = () => new Map([["count", Buffer.from(`${made++}`)]]);
    const content = { links: LINKS, files: { names: ["count"], make } };
    const path = keptDirectory("key", content, store);
    expect(keptDirectory("key", content, store)).toBe(path);
    expect(made).toBe(1);
    const others = [
      keptDirectory("other key", content, store),
      keptDirectory("key", { ...content, links: new Map([["libc.so.6", "/trees/two/libc.so.6"]]) }, store),
    ];
    expect(new Set([path, ...others]).size).toBe(3);
  });

  test("is among the temporary files where there is no cache, or others may write to it", () => {
    const elsewhere = keptDirectory("nowhere", { links: LINKS }, undefined);
    expect(elsewhere).not.toStartWith(home);
    rmSync(elsewhere, { recursive: true });
    mkdirSync(join(home, "capsule", "glibc"), { recursive: true });
    chmodSync(join(home, "capsule", "glibc"), 0o777);
    const other = keptDirectory("others write", { links: LINKS }, store);
    expect(other).not.toStartWith(home);
    rmSync(other, { recursive: true });
  });

  test("is not where a library path could not lead", () => {
    const odd = join(home, "with:colon", "libraries.json");
    const path = keptDirectory("colon", { links: LINKS }, odd);
    expect(path).not.toContain(":");
    rmSync(path, { recursive: true });
  });

  test("is made again where something of it is gone", () => {
    const files = { names: ["said"], make: () => new Map([["said", Buffer.from("again")]]) };
    const path = keptDirectory("key", { links: LINKS, files }, store);
    for (const name of ["said", "libc.so.6"]) {
      rmSync(join(path, name));
      expect(keptDirectory("key", { links: LINKS, files }, store)).toBe(path);
      expect(readdirSync(path).sort()).toEqual(["libc.so.6", "said"]);
    }
    expect(readdirSync(dirname(path))).toHaveLength(1);
  });

  test("is made again where something of it is something else", () => {
    const files = { names: ["said"], make: () => new Map([["said", Buffer.from("again")]]) };
    const kept = () => keptDirectory("key", { links: LINKS, files }, store);
    const path = kept();
    const [link, file] = [join(path, "libc.so.6"), join(path, "said")];
    const changes: [string, (at: string) => void][] = [
      [link, (at) => symlinkSync("/trees/two/libc.so.6", at)],
      [link, (at) => writeFileSync(at, "")],
      [file, (at) => writeFileSync(at, "")],
      [file, (at) => symlinkSync("/etc/passwd", at)],
      [file, (at) => mkdirSync(at)],
      [path, (at) => writeFileSync(at, "")],
    ];
    for (const [at, change] of changes) {
      rmSync(at, { recursive: true });
      change(at);
      expect(kept()).toBe(path);
      expect(readlinkSync(link)).toBe("/trees/one/libc.so.6");
      expect(readFileSync(file, "utf8")).toBe("again");
      expect(readdirSync(dirname(path))).toHaveLength(1);
    }
  });

  test("is among the temporary files where the cache has no room for it, and half of it stays nowhere", () => {
    let isFull = true;
    const make = () => {
      if (isFull) {
        isFull = false;
        throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
      }
      return new Map([["said", Buffer.from("said")]]);
    };
    const kept = new KeptDirectories(store, system);
    const path = kept.with("full", { links: LINKS, files: { names: ["said"], make } });
    expect(path).not.toStartWith(home);
    expect([kept.place, kept.placeInCache]).toEqual([dirname(path), undefined]);
    expect(readdirSync(join(home, "capsule", "glibc"))).toEqual([]);
    rmSync(path, { recursive: true });
  });

  test("leaves alone what only looks like one", () => {
    const place = dirname(keptDirectory("one", { links: LINKS }, store));
    const others = ["kept-photos of ours", "kept_", ".kept-x"].map((name) => join(place, name));
    const long = Date.now() / 1000 - 400 * 24 * 60 * 60;
    for (const path of others) {
      mkdirSync(path);
      utimesSync(path, long, long);
    }
    keptDirectory("another", { links: LINKS }, store);
    for (const path of others) expect(statSync(path).isDirectory()).toBe(true);
  });

  test("half made or half removed, goes after a day, as another one is made", () => {
    const first = keptDirectory("one", { links: LINKS }, store);
    const halves = ["", "-old"].map((end) => `${dirname(first)}/.${basename(first)}-aB3dEf${end}`);
    for (const path of halves) mkdirSync(path);
    const second = keptDirectory("another", { links: LINKS }, store);
    for (const path of halves) expect(statSync(path).isDirectory()).toBe(true);
    const then = Date.now() / 1000 - 25 * 60 * 60;
    for (const path of halves) utimesSync(path, then, then);
    const third = keptDirectory("a third", { links: LINKS }, store);
    expect(readdirSync(dirname(first)).sort()).toEqual([first, second, third].map((path) => basename(path)).sort());
  });

  test("goes when nobody has used it for long, as another one is made", () => {
    const old = keptDirectory("old", { links: LINKS }, store);
    const used = keptDirectory("used", { links: LINKS }, store);
    const long = Date.now() / 1000 - 100 * 24 * 60 * 60;
    for (const path of [old, used]) utimesSync(path, long, long);
    expect(keptDirectory("used", { links: LINKS }, store)).toBe(used);
    const fresh = keptDirectory("fresh", { links: LINKS }, store);
    expect(
      readdirSync(dirname(fresh))
        .map((name) => join(dirname(fresh), name))
        .sort(),
    ).toEqual([fresh, used].sort());
  });
});
