// The package, as a new user has it: installed from a registry into an empty directory by npm or by Bun, run from there
// with nothing but Bun and the machine's libraries.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import metadata from "../../package.json" with { type: "json" };
import { Display } from "../support/display.ts";
import { mesaVersion } from "../support/hosts.ts";
import { native, type Outcome, repository, run } from "../support/run.ts";
import { tree } from "../support/trees.ts";

setDefaultTimeout(600_000);

/** More would be a surprise, in bytes: bytecode is most of it. */
const LARGEST = 8_000_000;
const NOBODY = "65534";

const directory = mkdtempSync(join(tmpdir(), "capsule-package-"));
let display: Display;
let tarball: string;

beforeAll(async () => {
  chmodSync(directory, 0o755); // also for another user
  // Bun is all that has been installed by hand.
  mkdirSync(join(directory, "bin"));
  copyFileSync(process.execPath, join(directory, "bin", "bun"));
  symlinkSync("bun", join(directory, "bin", "bunx"));
  const pack = ["npm", "pack", "--silent", "--pack-destination", directory];
  const { stdout, stderr, exitCode } = await run(pack, { cwd: repository, env: own("packer"), timeout: 120_000 });
  if (exitCode !== 0) throw new Error(`npm pack ended with ${exitCode}\n${stdout}${stderr}`);
  tarball = join(directory, stdout.trim().split("\n").at(-1) ?? "");
  display = await Display.start();
});
afterAll(async () => {
  await display[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

/**
 * The environment of somebody who has just come: a home of his own, and nothing on PATH but Bun and the machine's
 * programs.
 */
function own(name: string): Record<string, string> {
  const home = join(directory, name);
  mkdirSync(home, { recursive: true });
  const PATH = `${directory}/bin:/usr/local/bin:/usr/bin:/bin`;
  return { ...network(), HOME: home, PATH, TMPDIR: "/tmp", XDG_CACHE_HOME: join(home, ".cache") };
}

/** How this machine comes to the registry. */
function network(): Record<string, string> {
  const names = /^(NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|(HTTPS?|NO)_PROXY|NPM_CONFIG_REGISTRY)$/i;
  const set = Object.entries(process.env).filter(([name, value]) => names.test(name) && value !== undefined);
  return Object.fromEntries(set) as Record<string, string>;
}

describe("the tarball", () => {
  const unpacked = join(directory, "unpacked");
  const files = (): string[] => readdirSync(join(unpacked, "package"), { recursive: true, encoding: "utf8" });
  const contentOf = (name: string) => readFileSync(join(unpacked, "package", name));

  beforeAll(async () => {
    mkdirSync(unpacked);
    expect((await run(["tar", "xzf", tarball, "-C", unpacked])).exitCode).toBe(0);
  });

  test("has the command, its servers, its manual page, the guides and the sources, and no tests of ours or maps", () => {
    const list = files();
    for (const name of [
      "dist/main.js",
      "dist/attached/server.js",
      "dist/hosted/server.js",
      "dist/capsule.1",
      "README.md",
      "docs/launchers.md",
      "docs/glxinfo.svg",
      "examples/launcher.ts",
    ])
      expect(list).toContain(name);
    for (const name of list) expect(name).not.toMatch(/(^|\/)(test|fixtures|bench|node_modules)\/|\.map$/);
    expect(contentOf(metadata.bin.capsule).toString()).toStartWith("#!/usr/bin/env -S");
  });

  test("needs no package: Bun would look for it on the network, when a game starts", () => {
    const scanner = new Bun.Transpiler({ loader: "js" });
    const bundles = files().filter((name) => /^dist\/.*\.js$/.test(name));
    expect(bundles).toContain("dist/graphviz.js");
    for (const name of bundles) {
      const text = contentOf(name).toString().replace(/^#!.*/, "");
      const asked = scanner.scanImports(text).map(({ path }) => path);
      expect(asked.filter((path) => !path.startsWith("./") && !isBuiltin(path))).toEqual([]);
    }
  });

  test("has what its guides show and link to", () => {
    const list = new Set(files());
    const guides = [...list].filter((name) => /^(README|docs\/[\w-]+)\.md$/.test(name));
    const linked = guides.flatMap((guide) =>
      [
        ...contentOf(guide)
          .toString()
          .matchAll(/\]\((?!https?:|#)([^)#\s]+)/g),
      ].map(([, to = ""]) => join(guide, "..", to)),
    );
    expect(linked.length).toBeGreaterThan(50);
    expect(linked.filter((path) => !list.has(path.replace(/\/$/, "")))).toEqual([]);
  });

  test("is small, and knows nothing of where it was made", () => {
    expect(Bun.file(tarball).size).toBeLessThan(LARGEST);
    const mine = files().filter(
      (name) => /\.(js|jsc|ts|1|json|md)$/.test(name) && contentOf(name).includes(repository),
    );
    expect(mine).toEqual([]);
  });
});

/** A registry that has the tarball, and sends on whoever wants another package. */
async function registry(): Promise<Bun.Server<undefined>> {
  const { stdout } = await run(["npm", "config", "get", "registry"], { cwd: directory, env: own("packer") });
  const others = stdout.trim();
  const integrity = `sha512-${new Bun.CryptoHasher("sha512").update(readFileSync(tarball)).digest("base64")}`;
  const { name, version } = metadata;
  return Bun.serve({
    hostname: "localhost",
    port: 0,
    fetch: ({ url }) => {
      const { origin, pathname } = new URL(url);
      if (pathname === "/tarball") return new Response(Bun.file(tarball));
      if (pathname !== `/${name}`) return Response.redirect(new URL(pathname.slice(1), others).href, 302);
      const dist = { tarball: `${origin}/tarball`, integrity };
      return Response.json({ name, "dist-tags": { latest: version }, versions: { [version]: { ...metadata, dist } } });
    },
  });
}

/** By whom it is installed: what is called for that, in an empty directory. */
const INSTALLERS: readonly (readonly [name: string, install: readonly string[]])[] = [
  // Into this directory, although one above may have a package.json.
  ["npm", ["npm", "install", "--prefix", ".", "--no-audit", "--no-fund"]],
  ["bun", ["bun", "add"]],
];

describe.each(INSTALLERS)("installed by %s", (name, install) => {
  const project = join(directory, `by-${name}`);
  const env = () => ({ ...own(`home-of-${name}`), ...display.env });

  test("takes no builds, and warns of nothing", async () => {
    mkdirSync(project);
    await using server = await registry();
    const command = [...install, "--registry", server.url.href, metadata.name];
    const outcome = await run(command, { cwd: project, env: env(), timeout: 120_000 });
    expect(outcome.exitCode).toBe(0);
    expect(outcome.stdout + outcome.stderr).not.toMatch(/warn.*script|prepare|blocked|EBADENGINE/i);
    expect(readdirSync(join(project, "node_modules"))).toContain("capsule");
  });

  test.each([["bunx"], ["npx"]])("runs by %s, on the first try and on the second", async (runner) => {
    const model = await native("glxinfo", ["-B"], { env: display.env });
    for (let i = 0; i < 2; i++) {
      const command = [runner, "capsule", "exec", "glxinfo", "-B"];
      const outcome = await run(command, { cwd: project, env: env(), timeout: 60_000 });
      expect(lastOf(outcome)).toEqual({ exitCode: 0, stdout: model.stdout });
    }
  });

  test("runs on another tree, in both modes", async () => {
    const host = await tree("bullseye");
    for (const mode of ["in-process", "attached"]) {
      const command = ["bunx", "capsule", "exec", "--host", host, "--mode", mode, "glxinfo", "-B"];
      const outcome = await run(command, { cwd: project, env: env(), timeout: 60_000 });
      expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
      expect(mesaVersion(outcome.stdout)).toStartWith("20.3.");
    }
  });

  test("runs for a user who is not root", async () => {
    const home = join(directory, `nobody-of-${name}`);
    mkdirSync(home);
    expect((await run(["chown", `${NOBODY}:${NOBODY}`, home])).exitCode).toBe(0);
    const as = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
    const command = [...as, "bunx", "capsule", "exec", "glxinfo", "-B"];
    const variables = { ...env(), HOME: home, TMPDIR: home, XDG_CACHE_HOME: home, XDG_RUNTIME_DIR: home };
    const outcome = await run(command, { cwd: project, env: variables, timeout: 60_000 });
    expect(lastOf(outcome)).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("OpenGL renderer string") });
  });

  test("finds nothing that would hinder", async () => {
    const outcome = await run(["bunx", "capsule", "doctor", "glxinfo"], { cwd: project, env: env(), timeout: 60_000 });
    expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
  });
});

/** npx and bunx may have something of their own to say on standard error. */
const lastOf = ({ exitCode, stdout }: Outcome) => ({ exitCode, stdout });

describe("Node, which cannot run it, is told so", () => {
  const asked = (...words: string[]) =>
    run(["node", ...words], { cwd: join(directory, "by-npm"), env: own("home-of-npm") });
  const needs = `capsule needs Bun ${metadata.engines.bun.replace(">=", "")} or newer`;

  test("by the command", async () => {
    const { stderr, exitCode } = await asked("node_modules/capsule/dist/main.js", "exec", "true");
    expect(stderr).toContain(needs);
    expect(exitCode).toBe(126);
  });

  test("by the library, whatever is imported from it", async () => {
    const script = 'import { exec } from "capsule"; exec("true");';
    const { stderr, exitCode } = await asked("--input-type=module", "--eval", script);
    expect(stderr).toContain(`Cannot load "capsule" in Node`);
    expect(stderr).toContain(needs);
    expect(exitCode).toBe(1);
  });
});

describe("bytecode", () => {
  const main = join(directory, "by-npm", "node_modules", "capsule", "dist");

  test("of another Bun, or that is damaged or missing, is done without", async () => {
    const jsc = readdirSync(main, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".jsc"));
    expect(jsc.length).toBeGreaterThan(0);
    const command = [join(main, "main.js"), "--version"];
    const version = { stdout: `${metadata.version}\n`, stderr: "", exitCode: 0 };
    for (const name of jsc) await Bun.write(join(main, name), "not what Bun has written".repeat(100));
    expect(await run(command, { env: own("home-of-npm") })).toMatchObject(version);
    for (const name of jsc) rmSync(join(main, name));
    expect(await run(command, { env: own("home-of-npm") })).toMatchObject(version);
  });
});
