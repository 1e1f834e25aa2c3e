// Makes build/capsule_VERSION_amd64.deb of the executable: /usr/bin/capsule, its manual page, completions and licences.
// Takes dpkg-deb. The same executable and date give the same bytes.

import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import metadata from "../package.json" with { type: "json" };
import { root } from "./bundle.ts";
import { licenses } from "./licenses.ts";
import { buildDate, ownManPage } from "./man.ts";

const build = join(root, "build");
const [, , file = join(build, `capsule_${metadata.version}_amd64.deb`)] = process.argv;
const capsule = join(build, "capsule");
const tree = join(build, "deb");

/** Where each shell looks for completions, without being told. */
const COMPLETIONS = {
  bash: "bash-completion/completions/capsule",
  zsh: "zsh/vendor-completions/_capsule",
  fish: "fish/vendor_completions.d/capsule.fish",
};

function put(path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), content);
  chmodSync(join(tree, path), mode);
}

/** What a command writes. Throws if it fails. */
function outputOf(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: process.env });
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout.toString();
}

/** Its package has no file of them. */
const BUN = `Bun ${Bun.version}

MIT license. Bun contains JavaScriptCore and parts of WebKit (LGPL-2), and other libraries:
https://bun.com/docs/project/license lists them with their licences, and says how to relink Bun with another JavaScriptCore.
`;

rmSync(tree, { recursive: true, force: true });
put("usr/bin/capsule", "");
copyFileSync(capsule, join(tree, "usr/bin/capsule"));
chmodSync(join(tree, "usr/bin/capsule"), 0o755);
put("usr/share/man/man1/capsule.1.gz", Bun.gzipSync(Buffer.from(ownManPage()), { level: 9 }));
for (const [shell, path] of Object.entries(COMPLETIONS))
  put(`usr/share/${path}`, outputOf(capsule, "completions", shell));
put("usr/share/doc/capsule/copyright", [readFileSync(join(root, "LICENSE"), "utf8"), licenses(), BUN].join("\n"));
put(
  "DEBIAN/control",
  `Package: capsule
Version: ${metadata.version}
Architecture: amd64
Maintainer: the authors of capsule <capsule@localhost>
Section: utils
Priority: optional
Depends: libc6 (>= 2.31)
Installed-Size: ${Math.ceil(statSync(capsule).size / 1024)}
Description: ${metadata.description.split(": ")[0]}
 capsule exec runs a program on its own libraries, but with the graphics
 libraries (OpenGL, EGL, Vulkan, with their drivers) of another directory
 tree, in a namespace of their own.
`,
);
// By gzip: xz takes minutes, and old releases know no zstd. dpkg-deb gives all files the date that the variable names, if they are younger.
outputOf(
  "env",
  `SOURCE_DATE_EPOCH=${Math.floor(buildDate().getTime() / 1000)}`,
  "dpkg-deb",
  "--root-owner-group",
  "-Zgzip",
  "-z6",
  "--build",
  tree,
  file,
);
rmSync(tree, { recursive: true });
