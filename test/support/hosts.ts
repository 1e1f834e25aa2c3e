// The host trees that real programs are run on, and which Mesa they bring.

import { expect } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Display } from "./display.ts";
import { native } from "./run.ts";
import { tree } from "./trees.ts";

export interface Host {
  words: string;
  directory(): Promise<string>;
  /** As in "20.3.5". */
  mesa(display: Display): Promise<string>;
}

export const bullseye: Host = {
  words: "a Debian 11 tree",
  directory: () => tree("bullseye"),
  mesa: async () => "20.3.5",
};

export const bookworm: Host = {
  words: "a Debian 12 tree",
  directory: () => tree("bookworm"),
  mesa: async () => "22.3.6",
};

export const trixie: Host = {
  words: "a Debian 13 tree, whose glibc is newer",
  directory: () => tree("trixie"),
  // Its Debian revision, too, which is in the name of a library.
  mesa: async () => {
    const names = readdirSync(join(await tree("trixie"), "usr/lib/x86_64-linux-gnu"));
    return names.map((name) => /^libgallium-(.*)\.so$/.exec(name)?.[1]).find(Boolean) ?? "unknown";
  },
};

export const itself: Host = {
  words: "the machine's own /",
  directory: async () => "/",
  mesa: async (display) => {
    const { stdout } = await native("glxinfo", ["-B"], { env: display.env });
    const version = mesaVersion(stdout);
    expect(version).toBeDefined();
    return version ?? "";
  },
};

/** The version of Mesa that glxinfo shows. */
export function mesaVersion(text: string): string | undefined {
  return /^OpenGL version string: .* Mesa (\S+)$/m.exec(text)?.[1];
}
