import { expect, test } from "bun:test";
import { isShared, LOADER, UNWINDER } from "../../../src/profiles/shared-set.ts";

test("the shared set is the glibc family and the unwinder", () => {
  for (const soname of [
    "libc.so.6",
    "libm.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    LOADER,
    UNWINDER,
    "libnss_dns.so.2",
  ])
    expect(isShared(soname)).toBe(true);
});

test("no other library is in it, nor one of theirs by another name", () => {
  for (const soname of [
    "libnss_systemd.so.2",
    "libstdc++.so.6",
    "libX11.so.6",
    "libc.so",
    "libc.so.60",
    "/lib/libc.so.6",
    "",
    "toString",
  ])
    expect(isShared(soname)).toBe(false);
});
