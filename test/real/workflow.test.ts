// The workflow that examples/tests has for GitHub Actions: its steps, run here by the same words.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { repository, run } from "../support/run.ts";
import { type Suite, tree } from "../support/trees.ts";

setDefaultTimeout(600_000);

interface Workflow {
  readonly jobs: {
    readonly test: {
      readonly strategy: { readonly matrix: { readonly include: readonly { suite: Suite; mesa: string }[] } };
      readonly env: Readonly<Record<string, string>>;
      readonly steps: readonly { readonly name?: string; readonly run?: string }[];
    };
  };
}

const tests = join(repository, "examples/tests");
const { test: job } = (Bun.YAML.parse(readFileSync(join(tests, "mesa.yml"), "utf8")) as Workflow).jobs;
const project = mkdtempSync(join(tmpdir(), "capsule-workflow-"));

/** A step of the job, on a runner whose workspace is the project. */
function step(name: string, matrix: Readonly<Record<string, string>>) {
  const line = job.steps.find((step) => step.name?.startsWith(name))?.run;
  if (line === undefined) throw new Error(`The job has no step "${name}"`);
  const values: Readonly<Record<string, string>> = { "github.workspace": project };
  const env = Object.entries(job.env).map(([variable, text]) => [
    variable,
    text.replaceAll(/\$\{\{ (\S+) \}\}/g, (_, key: string) => values[key] ?? matrix[key.replace("matrix.", "")] ?? key),
  ]);
  const PATH = [join(project, "bin"), dirname(process.execPath), process.env.PATH].join(":");
  const shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line];
  return run(shell, { cwd: project, env: { ...Object.fromEntries(env), PATH }, timeout: 500_000 });
}

const executable = (path: string, words: string) =>
  writeFileSync(join(project, path), `#!/bin/sh\nexec ${words}"$@"\n`, { mode: 0o755 });

beforeAll(() => {
  for (const name of ["bin", "trees", "node_modules/.bin", "node_modules/capsule"])
    mkdirSync(join(project, name), { recursive: true });
  executable("bin/sudo", "");
  executable("bin/bunx", `'${process.execPath}' x `);
  // The sources: what is built may be built once more meanwhile.
  executable("node_modules/.bin/capsule", `'${process.execPath}' '${join(repository, "src/main.ts")}' `);
  writeFileSync(join(project, "node_modules/capsule/index.ts"), `export * from "${repository}/src/index.ts";\n`);
  writeFileSync(join(project, "package.json"), "{}");
  copyFileSync(join(tests, "surfaceless.test.ts"), join(project, "surfaceless.test.ts"));
});
afterAll(() => rmSync(project, { recursive: true }));

describe.each(job.strategy.matrix.include)("on $suite", (matrix) => {
  test(`a pixel is drawn by Mesa ${matrix.mesa}`, async () => {
    const host = await tree(matrix.suite);
    symlinkSync(host, join(project, "trees", matrix.suite));
    expect(await step("Tree", matrix)).toMatchObject({ stdout: "", stderr: "", exitCode: 0 });
    const { stdout, stderr, exitCode } = await step("Tests", matrix);
    expect(stderr).toContain("\n 2 pass\n 0 fail\n");
    expect(stdout).toContain(`${host}: OpenGL ES 3.2 Mesa ${matrix.mesa}.`);
    expect(exitCode).toBe(0);
  });
});
