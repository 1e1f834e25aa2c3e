// A process has one allocator, whoever brings it along: what one side allocates the other frees.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectBoth } from "../support/both.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule, native, type Outcome } from "../support/run.ts";

const host = `${HOST}/libhost.so.1`;
const allocator = `${RUNTIME}/liballocator.so.1`;

const EVERYBODYS = "allocator/an-allocator-of-the-programs-is-everybodys";
const everybodys = () =>
  pair(EVERYBODYS, [
    { path: host, sources: ["host.c"] },
    { path: allocator, sources: ["allocator.c"] },
    { path: "has-its-own", sources: ["program.c", "allocator.c"], needs: [host], flags: ["-rdynamic"] },
    { path: "is-linked", sources: ["program.c"], needs: [host, allocator] },
    { path: "plain", sources: ["program.c"], needs: [host] },
  ]);

const EXPECTED = [
  ...["a constructor's malloc", "malloc", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc"],
  ...["posix_memalign", "valloc", "pvalloc", "strdup"],
].map((name) => `${name}: the program's`);
const AND_BACK = ["freed by the host: 3", "freed by its size: 1", "measured by the host: 77"];

describe("an allocator of the program's is everybody's", () => {
  test("in the program itself", async () => {
    await expectBoth(await everybodys(), [], [...EXPECTED, ...AND_BACK], {}, "has-its-own");
  });

  test("in a library that it is linked to", async () => {
    await expectBoth(await everybodys(), [], [...EXPECTED, ...AND_BACK], {}, "is-linked");
  });

  test("preloaded", async () => {
    const fixture = await everybodys();
    const env = { LD_PRELOAD: join(fixture.out, allocator) };
    await expectBoth(fixture, [], [...EXPECTED, ...AND_BACK], { env }, "plain");
  });
});

test("an allocator that is opened later is nobody's but its own", async () => {
  const fixture = await pair("allocator/an-allocator-that-is-opened-later-is-nobodys", [
    { path: host, sources: [`../${EVERYBODYS.split("/")[1]}/host.c`] },
    { path: allocator, sources: [`../${EVERYBODYS.split("/")[1]}/allocator.c`] },
    { path: "program", sources: ["program.c"] },
  ]);
  await expectBoth(fixture, [], ["the host's: libc's, the program's: libc's", "freed"]);
});

test("an operator new of the program's is everybody's, in front of the host's libstdc++", async () => {
  const fixture = await pair("allocator/an-operator-new-of-the-programs-is-everybodys", [
    { path: `${HOST}/libstdc++.so.6`, copyOf: "libstdc++.so.6" },
    ...hostAndProgram("cc"),
  ]);
  const expected = [
    "made by the program's: 3",
    `texts: 20, the last "${"x".repeat(100)}"`,
    "taken by the program's: 3",
  ];
  await expectBoth(fixture, [], expected);
});

describe("nothing allocates before the allocator is ready", () => {
  const library = `${RUNTIME}/libuser.so.1`;
  const ready = () =>
    pair("allocator/nothing-allocates-before-the-allocator-is-ready", [
      { path: host, sources: ["host.c"] },
      { path: allocator, sources: ["allocator.c"] },
      { path: library, sources: ["user.c"], needs: [host] },
      { path: "first", sources: ["program.c"], needs: [allocator, host, library] },
      { path: "last", sources: ["program.c"], needs: [library, host, allocator] },
      { path: "plain", sources: ["program.c"], needs: [host, library] },
      { path: "itself", sources: ["program.c", "allocator.c"], needs: [host, library], flags: ["-rdynamic"] },
    ]);
  const expected = ["counted: 1, the host's value: 42, as its user saw it: 42"];

  for (const name of ["first", "last", "itself"])
    test(`linked, ${name}`, async () => {
      await expectBoth(await ready(), [], expected, {}, name);
    });

  test("preloaded", async () => {
    const fixture = await ready();
    await expectBoth(fixture, [], expected, { env: { LD_PRELOAD: join(fixture.out, allocator) } }, "plain");
  });
});

/** The soname of the compiler's AddressSanitizer, which is another in each of its releases. */
async function asanSoname(): Promise<string> {
  const { stdout } = await native("sh", ["-c", 'readelf -dW "$(cc -print-file-name=libasan.so)"']);
  return /SONAME.*\[(.*)\]/.exec(stdout)?.[1] ?? "libasan.so is not installed";
}

const sanitized = async () => {
  const asan = await asanSoname();
  return pair("allocator/a-sanitizer-finds-one-allocator", [
    { path: `${HOST}/libstdc++.so.6`, copyOf: "libstdc++.so.6" },
    { path: `${HOST}/${asan}`, copyOf: asan },
    { path: host, sources: ["host.cc"] },
    { path: `${HOST}/libsanitized.so.1`, sources: ["host.cc"], flags: ["-fsanitize=address"] },
    { path: "program", sources: ["program.cc"], needs: [host], flags: ["-fsanitize=address"] },
    { path: "needs-sanitized", sources: ["program.cc"], needs: [`${HOST}/libsanitized.so.1`] },
  ]);
};

describe("a sanitizer finds one allocator", () => {
  // By the ld.so's name something of capsule's is preloaded, and comes first.
  const isByName = process.env.CAPSULE_TEST_MOUNT_NAMESPACE === "never";
  const env = { ASAN_OPTIONS: `detect_leaks=0${isByName ? ":verify_asan_link_order=0" : ""}` };

  test("and the program's faults", async () => {
    const fixture = await sanitized();
    await expectBoth(fixture, [], ["text of the host's", "one allocator"], { env });
    const found = ({ exitCode, stderr }: Outcome) => [exitCode, /AddressSanitizer: (\S+)/.exec(stderr)?.[1]];
    const model = await fixture.native(["fault"], { env });
    expect(found(model)).toEqual([1, "heap-use-after-free"]);
    expect(found(await fixture.capsule(["fault"], { env }))).toEqual(found(model));
  });
});

describe("what cannot be had is refused at once", () => {
  const refused = async (fixture: Pair, isolated: string, program: string) => {
    const env = { LD_LIBRARY_PATH: fixture.runtime };
    return capsule(["--host", fixture.host, "--isolate", isolated], fixture.program(program), [], { env });
  };

  test("to isolate an allocator", async () => {
    const fixture = await pair(EVERYBODYS, [
      { path: `${HOST}/liballocator.so.1`, sources: ["allocator.c"] },
      { path: allocator, sources: ["allocator.c"] },
      { path: `${RUNTIME}/libhost.so.1`, sources: ["host.c"] },
      { path: "is-linked", sources: ["program.c"], needs: [`${RUNTIME}/libhost.so.1`, allocator] },
    ]);
    const { stdout, stderr, exitCode } = await refused(fixture, "liballocator.so.1", "is-linked");
    expect(stderr).toStartWith('capsule: Cannot isolate "liballocator.so.1": it has an allocator (malloc)');
    expect([stdout, exitCode]).toEqual(["", 125]);
  });

  test("to isolate what needs a sanitizer's runtime", async () => {
    const fixture = await sanitized();
    const { stdout, stderr, exitCode } = await refused(fixture, "libsanitized.so.1", "needs-sanitized");
    const [line = ""] = stderr.split("\n");
    expect(line).toStartWith(`capsule: Cannot isolate "${join(fixture.out, HOST)}/libsanitized.so.1": it needs "`);
    expect(line).toContain(`/${await asanSoname()}", which is a sanitizer's runtime`);
    expect([stdout, exitCode]).toEqual(["", 125]);
  });
});
