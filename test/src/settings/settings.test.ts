// Which of several places is believed, and what is made of what they say.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../../src/diagnostics/errors.ts";
import { PROFILES } from "../../../src/profiles/profiles.ts";
import type { Environment, Flags } from "../../../src/settings/layer.ts";
import { Settings } from "../../../src/settings/settings.ts";
import { nameOf } from "../../../src/settings/source.ts";
import { Scratch } from "../../lib/elf/scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

let count = 0;
/** Settings of a program with `beside` in the file beside it, and `own` in the user's own. */
function settingsOf(flags: Flags, environment: Environment = {}, beside?: string, own?: string): Settings {
  const root = scratch.path(`root-${++count}`);
  const [game, config] = [join(root, "game"), join(root, "config", "capsule")];
  for (const directory of [game, config]) mkdirSync(directory, { recursive: true });
  const program = join(game, "program");
  writeFileSync(program, "");
  if (beside !== undefined) write(join(game, "capsule.toml"), beside);
  if (own !== undefined) write(join(config, "capsule.toml"), own);
  return new Settings(flags, program, { XDG_CONFIG_HOME: join(root, "config"), ...environment });
}

function write(path: string, text: string): void {
  writeFileSync(path, text);
  chmodSync(path, 0o644);
}

describe("a setting is taken from", () => {
  const beside = 'mode = "attached"\n';
  const own = 'mode = "auto"\nmount-namespace = "never"\n';

  test("the flag, before all others", () => {
    const { mode } = settingsOf({ mode: "in-process" }, { CAPSULE_MODE: "attached" }, beside, own);
    expect([mode.value, nameOf(mode.source)]).toEqual(["in-process", "--mode"]);
  });

  test("the variable, before files", () => {
    const { mode } = settingsOf({}, { CAPSULE_MODE: "in-process" }, beside, own);
    expect([mode.value, nameOf(mode.source)]).toEqual(["in-process", "CAPSULE_MODE"]);
  });

  test("the file beside the program, before the user's own, key by key", () => {
    const { mode, mountNamespace } = settingsOf({}, { CAPSULE_MODE: "" }, beside, own);
    expect([mode.value, mountNamespace.value]).toEqual(["attached", "never"]);
    expect(nameOf(mode.source)).toEndWith('/game/capsule.toml", line 1');
    expect(nameOf(mountNamespace.source)).toEndWith('/config/capsule/capsule.toml", line 2');
  });

  test("its default, where nobody says anything", () => {
    const { mode, mountNamespace, glibc, runtime, trace, isolate, profile } = settingsOf({});
    for (const { value } of [mode, mountNamespace, glibc]) expect(value).toBe("auto");
    expect([runtime.value, trace.value, isolate.value]).toEqual([undefined, [], []]);
    expect(profile.value).toEqual(Object.keys(PROFILES));
    for (const { source } of [mode, glibc, profile]) expect(nameOf(source)).toBe("default");
  });

  test("the one file that is named, by flag or variable, and from none that is looked for", () => {
    const named = scratch.write("named.toml", 'mode = "in-process"\n');
    for (const settings of [
      settingsOf({ settings: named }, { CAPSULE_SETTINGS: "/no/such/file" }, beside, own),
      settingsOf({}, { CAPSULE_SETTINGS: named }, beside, own),
    ]) {
      expect([settings.mode.value, settings.mountNamespace.value]).toEqual(["in-process", "auto"]);
      expect(settings.files).toEqual([named]);
    }
  });

  test("no file at all where none is wanted, even if it is unsound", () => {
    const settings = settingsOf({ settings: false }, { CAPSULE_SETTINGS: "/no/such/file" }, "=", "=");
    expect([settings.mode.value, settings.files]).toEqual(["auto", []]);
  });
});

test("directories of host trees are arrays in files, and lists with colons in variables", () => {
  const lists = ({ further, hostLibraries, hostShares }: Settings) => {
    expect(further.value).toEqual({ libraries: hostLibraries.value, shares: hostShares.value });
    return [hostLibraries.value, hostShares.value, nameOf(further.source).replace(/".*", /, "")];
  };
  const variables = { CAPSULE_HOST_LIBRARIES: "/a::/b:", CAPSULE_HOST_SHARES: "/share:/s" };
  expect(lists(settingsOf({}, variables))).toEqual([["/a", "/b"], ["/share", "/s"], "CAPSULE_HOST_LIBRARIES"]);
  const both = '\nhost-shares = ["/s:t"]\nhost-libraries = ["/a:b", "/c"]';
  expect(lists(settingsOf({}, {}, both))).toEqual([["/a:b", "/c"], ["/s:t"], "line 3"]);
  expect(lists(settingsOf({}, {}, 'host-shares = "/s"'))).toEqual([[], ["/s"], "line 1"]);
});

test("all settings can be shown by their names", () => {
  const flags = { isolate: ["libfoo.so.1", "libbar.so.1=/bar"], glibc: "./tree", mode: "attached" };
  const shown = [...settingsOf(flags).all].map(([name, { value }]) => [name, value]);
  expect(Object.fromEntries(shown)).toMatchObject({
    ...{ isolate: flags.isolate, glibc: "./tree", mode: "attached", runtime: undefined, trace: [] },
  });
  expect(settingsOf({ glibc: "host" }).all.get("glibc")?.value).toBe("host");
});

test("a library that has a tree in a file and is not isolated is idle", () => {
  const file = '[libraries]\n"libGL.so.1" = "/gl"\n"libfoo.so.1" = "/foo"';
  expect(settingsOf({ profile: ["gl"] }, {}, file).idle.map(({ value }) => value)).toEqual(["libfoo.so.1"]);
});

describe("a wrong value is an error, with where it is said and what there would be:", () => {
  const cases: [string, () => unknown, string | RegExp][] = [
    ["a flag", () => settingsOf({ mode: "atached" }).mode, 'There is no mode "atached": did you mean "attached"?'],
    [
      "a variable",
      () => settingsOf({}, { CAPSULE_GLIBC: "none" }).glibc,
      'no glibc "none", as CAPSULE_GLIBC says: choose of auto, runtime, host, or a directory (./none)',
    ],
    [
      "a line of a file",
      () => settingsOf({}, {}, '\nmount-namespace = "allways"\n'),
      /^There is no choice of a mount namespace "allways", as line 2 of ".*\/game\/capsule.toml" says: did you mean "always"\?$/,
    ],
    ["what every object has", () => settingsOf({ mode: "constructor" }).mode, 'There is no mode "constructor"'],
    [
      "a path in a host tree",
      () => settingsOf({}, { CAPSULE_HOST_SHARES: "/a:b" }).hostShares,
      'Cannot use the directory "b", as CAPSULE_HOST_SHARES says: a path in the host tree is needed',
    ],
    ["an empty flag", () => settingsOf({ mode: "" }).mode, 'There is no mode ""'],
    ["a profile of nobody's", () => settingsOf({ profile: ["gll"] }).profile, 'profile "gll": did you mean "gl"?'],
    ["a category", () => settingsOf({}, {}, 'trace = ["plan", "serch"]'), 'did you mean "search"?'],
    ["no directory", () => settingsOf({ runtime: "" }).runtime, 'Cannot use the runtime "": a directory is needed'],
    [
      "something to isolate that cannot be",
      () => settingsOf({}, {}, 'isolate = ["libc.so.6"]'),
      /^Cannot isolate "libc.so.6", as line 1 of ".*" says: the whole process has one copy of it$/,
    ],
    [
      "nothing to isolate",
      () => settingsOf({}, {}, "profile = []").trees,
      /^There is nothing to isolate, as line 1 of ".*" says$/,
    ],
    [
      "what a file says in vain",
      () => settingsOf({ mode: "auto", profile: ["gl"] }, {}, 'profile = ["gll"]'),
      /no profile "gll", as line 1/,
    ],
  ];
  test.each(cases)("%s", (_, make, message) => {
    expect(make).toThrow(UsageError);
    expect(make).toThrow(message);
  });
});

describe("the host tree of a library is", () => {
  const hostOf = (settings: Settings, soname: string) => {
    const host = settings.trees.libraries.find((library) => library.soname === soname)?.host;
    return host && [host.value, nameOf(host.source).replace(/".*\/(\w+\/capsule.toml)"/, "$1")];
  };
  const GL = "libGL.so.1";
  const variable = { CAPSULE_LIBGL_SO_1_PREFIX: "/variable" };
  const beside = `host = "/beside"\n[libraries]\n"${GL}" = "/beside-gl"\n`;
  const own = `host = "/own"\n[libraries]\n"${GL}" = "/own-gl"\n"libX11.so.6" = "/own-x11"`;

  test("what SONAME=DIR says on the command line, before its variable", () => {
    expect(hostOf(settingsOf({ isolate: [`${GL}=/flag`] }, variable, beside), GL)).toEqual(["/flag", "--isolate"]);
    expect(hostOf(settingsOf({ isolate: [GL] }, variable, beside), GL)).toEqual([
      "/variable",
      "CAPSULE_LIBGL_SO_1_PREFIX",
    ]);
  });

  test("what its variable says, before SONAME=DIR in a file", () => {
    const file = `isolate = ["${GL}=/isolate"]\n${beside}`;
    expect(hostOf(settingsOf({}, variable, file), GL)?.[0]).toBe("/variable");
    expect(hostOf(settingsOf({}, {}, file), GL)).toEqual(["/isolate", "game/capsule.toml, line 1"]);
  });

  test("what [libraries] says, library by library, before any host", () => {
    const settings = settingsOf({ host: "/flag" }, {}, beside, own);
    expect(hostOf(settings, GL)).toEqual(["/beside-gl", "game/capsule.toml, line 3"]);
    expect(hostOf(settings, "libX11.so.6")).toEqual(["/own-x11", "capsule/capsule.toml, line 4"]);
    expect(hostOf(settings, "libvulkan.so.1")).toEqual(["/flag", "--host"]);
  });

  test("that of another of its family, where nobody has said its own", () => {
    const settings = settingsOf({ host: "/flag" }, {}, beside, own);
    expect(hostOf(settings, "libEGL.so.1")).toEqual(["/beside-gl", "game/capsule.toml, line 3"]);
  });

  test("not asked of a library that is not isolated", () => {
    expect(hostOf(settingsOf({ isolate: ["libfoo.so.1"] }, {}, beside), GL)).toBeUndefined();
  });
});

describe("profiles of one's own", () => {
  const mine = `
[profiles.mine]
summary = "what this game needs"
isolate = ["libmine.so.1"]
newest = ["libnewer.so.2"]
[profiles.mine.environment]
MINE = "1"
MINE_PATH = { directories = ["/usr/share/mine", "$LIBDIR/mine"] }
`;

  test("are used by their names, like all others", () => {
    const { libraries, newest, variables } = settingsOf({ profile: ["mine"] }, {}, undefined, mine).trees;
    expect(libraries.map(({ soname, profiles }) => [soname, ...profiles])).toEqual([
      ["libmine.so.1", "mine"],
      ["libnewer.so.2", "mine"],
    ]);
    expect(newest).toEqual(["libnewer.so.2"]);
    expect(variables).toEqual([
      { name: "MINE", kind: "value", value: "1" },
      { name: "MINE_PATH", kind: "directories", paths: ["/usr/share/mine", "$LIBDIR/mine"] },
    ]);
  });

  test("may be the default, also one of the other file", () => {
    const { profile } = settingsOf({}, {}, 'profile = ["mine", "gl"]', mine);
    expect(profile.value).toEqual(["mine", "gl"]);
  });

  test("are not among all that are taken by default, but may take the place of one of these", () => {
    const other = mine.replaceAll("profiles.mine", "profiles.video");
    const sonames = (file: string) => settingsOf({}, {}, file).trees.libraries.map(({ soname }) => soname);
    expect(sonames(mine)).not.toContain("libmine.so.1");
    expect(sonames(mine)).toContain("libva.so.2");
    expect(sonames(other)).toContain("libmine.so.1");
    expect(sonames(other)).not.toContain("libva.so.2");
  });

  test("cannot have what the whole process has one copy of", () => {
    const settings = settingsOf({ profile: ["libc"] }, {}, '[profiles.libc]\nisolate = ["libc.so.6"]');
    expect(() => settings.trees).toThrow('Cannot isolate "libc.so.6", as the profile "libc" says');
  });
});

describe("what is isolated", () => {
  test("is no profile's where libraries are named, but drivers are told all the same where they find things", () => {
    const { libraries, variables } = settingsOf({ isolate: ["libfoo.so.1"] }).trees;
    expect(libraries).toMatchObject([{ soname: "libfoo.so.1", isExplicit: true, profiles: [] }]);
    expect(variables.map(({ name }) => name)).toContain("LIBGL_DRIVERS_PATH");
  });

  test("is named if it is in a profile as well, and then not shared", () => {
    const { libraries, newest } = settingsOf({ profile: ["egl"], isolate: ["libwayland-client.so.0"] }).trees;
    expect(libraries.find(({ soname }) => soname === "libwayland-client.so.0")?.isExplicit).toBeTrue();
    expect(newest).toEqual(["libwayland-server.so.0", "libwayland-egl.so.1"]);
  });
});

describe("a library that is named brings along", () => {
  const treesOf = (isolate: string[], environment: Environment = {}) => {
    const { libraries, newest } = settingsOf({ host: "/host", isolate }, environment).trees;
    const hosts = Object.fromEntries(
      libraries.map(({ soname, host, follows }) => [soname, [host.value, follows?.soname]]),
    );
    return { hosts, newest };
  };

  test("its family, and those whose objects cross the border with it", () => {
    const { hosts, newest } = treesOf(["libEGL.so.1=/red"]);
    expect(hosts["libEGL.so.1"]).toEqual(["/red", undefined]);
    for (const soname of ["libGL.so.1", "libGLdispatch.so.0", "libX11.so.6", "libwayland-client.so.0"])
      expect(hosts[soname]).toEqual(["/red", "libEGL.so.1"]);
    expect(Object.keys(hosts)).not.toContain("libvulkan.so.1");
    expect(newest).toContain("libwayland-client.so.0");
  });

  test("those of another tree, where they have one", () => {
    const { hosts } = treesOf(["libGL.so.1=/red"], { CAPSULE_LIBX11_SO_6_PREFIX: "/green" });
    expect([hosts["libGL.so.1"], hosts["libX11.so.6"], hosts["libxcb.so.1"]]).toEqual([
      ["/red", undefined],
      ["/green", undefined],
      ["/green", "libX11.so.6"],
    ]);
  });

  test("its family, in the tree of all, where it has none of its own", () => {
    expect(treesOf(["libEGL.so.1"]).hosts).toMatchObject({
      "libEGL.so.1": ["/host", undefined],
      "libGL.so.1": ["/host", "libEGL.so.1"],
      "libX11.so.6": ["/host", "libEGL.so.1"],
    });
  });

  test("its family, also where a profile of one's own names it", () => {
    const file = '[profiles.mine]\nisolate = ["libEGL.so.1"]';
    const { libraries } = settingsOf({ profile: ["mine"] }, {}, file).trees;
    expect(libraries.find(({ soname }) => soname === "libGL.so.1")?.follows?.soname).toBe("libEGL.so.1");
  });

  test("nobody where it is in no family", () => {
    expect(Object.keys(treesOf(["libfoo.so.1=/red"]).hosts)).toEqual(["libfoo.so.1"]);
  });
});

test("the libraries of our profiles stay where the user has said nothing of one", () => {
  const { libraries } = settingsOf({ profile: ["gl"] }).trees;
  expect(libraries.map(({ soname }) => soname)).toEqual([...(PROFILES.gl?.isolate ?? [])]);
});

test("a variable for the program is the first file's that sets it", () => {
  const beside = '[environment]\nA = "game"\nB = false';
  const { environment } = settingsOf({}, {}, beside, '[environment]\nA = "own"\nB = "own"\nC = "own"');
  const all = Array.from(environment, ([name, { value, source }]) => [name, value, nameOf(source).includes("/game/")]);
  expect(all.sort()).toEqual([
    ["A", "game", true],
    ["B", undefined, true],
    ["C", "own", false],
  ]);
});

describe("CAPSULE_DEBUG", () => {
  test("is in libcapsule's words, of which unknown ones are passed over", () => {
    expect(settingsOf({}, { CAPSULE_DEBUG: "path,nonsense constructor reloc" }).trace.value).toEqual([
      "plan",
      "redirect",
    ]);
  });
});
