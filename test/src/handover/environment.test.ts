import { describe, expect, test } from "bun:test";
import { BE_BUN } from "../../../src/diagnostics/engine-settings.ts";
import { withKept, withoutRunner } from "../../../src/handover/environment.ts";

const BIN = "/home/me/game/node_modules/.bin";

describe("withoutRunner()", () => {
  test("changes nothing where no runner has started us", () => {
    const environment = { PATH: `${BIN}:/usr/bin`, NODE: "/usr/bin/node", npm_config_cache: "/tmp", INIT_CWD: "/" };
    expect([...withoutRunner(environment)]).toEqual([]);
  });

  test("takes a runner's own variables away, and its directories from the front of PATH", () => {
    const runner = {
      ...{
        npm_execpath: "/bin/bun",
        npm_config_user_agent: "bun/1",
        npm_node_execpath: "/bin/node",
        NODE: "/bin/node",
      },
      ...{ INIT_CWD: "/home/me", PATH: `${BIN}:/x/node-gyp-bin:/usr/bin:${BIN}:/bin`, HOME: "/home/me", LANG: "C" },
    };
    expect(Object.fromEntries(withoutRunner(runner))).toEqual({
      ...{ npm_execpath: undefined, npm_config_user_agent: undefined, npm_node_execpath: undefined, NODE: undefined },
      ...{ INIT_CWD: undefined, PATH: `/usr/bin:${BIN}:/bin` },
    });
  });

  test("takes settings of our Bun away, and leaves values that are the user's", () => {
    const settings = { BUN_JSC_useDFGJIT: "0", MIMALLOC_ARENA_RESERVE: "1GiB", BUN_BE_BUN: "1" };
    expect([...withoutRunner(settings)]).toEqual([["BUN_JSC_useDFGJIT", undefined]]);
    expect([...withoutRunner(BE_BUN)]).toEqual([["BUN_BE_BUN", undefined]]);
    // As a launcher passes it on that is an executable itself.
    const passedOn = { ...withKept({ BUN_BE_BUN: "1" }), ...BE_BUN };
    expect(Object.fromEntries(withoutRunner(passedOn))).toEqual({
      BUN_BE_BUN: "1",
      CAPSULE_KEPT_BUN_BE_BUN: undefined,
    });
  });

  test("leaves a NODE that is the user's, and a PATH without a runner's directories", () => {
    const runner = { npm_execpath: "/bin/bun", npm_node_execpath: "/bin/node", NODE: "production", PATH: "/usr/bin" };
    expect([...withoutRunner(runner).keys()].toSorted()).toEqual(["npm_execpath", "npm_node_execpath"]);
  });
});

describe("variables that this command's Bun would obey", () => {
  const given = { BUN_OPTIONS: "--smol", BUN_INSPECT_CONNECT_TO: "tcp://x", BUN_INSTALL: "/bun", A: "1" };

  test("have other names while it runs", () => {
    expect(withKept(given)).toEqual({
      CAPSULE_KEPT_BUN_OPTIONS: "--smol",
      CAPSULE_KEPT_BUN_INSPECT_CONNECT_TO: "tcp://x",
      BUN_INSTALL: "/bun",
      A: "1",
    });
  });

  test("are given back to the program", () => {
    expect(Object.fromEntries(withoutRunner(withKept(given)))).toEqual({
      ...{ CAPSULE_KEPT_BUN_OPTIONS: undefined, CAPSULE_KEPT_BUN_INSPECT_CONNECT_TO: undefined },
      ...{ BUN_OPTIONS: "--smol", BUN_INSPECT_CONNECT_TO: "tcp://x" },
    });
  });
});
