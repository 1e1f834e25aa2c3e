// The settings of a run, each from the first source that has it: flag, environment, file beside the program, the user's
// own file, default. They are evaluated on request, as a command uses only some.

import { existsSync } from "node:fs";
import { UsageError } from "../diagnostics/errors.ts";
import type { Category } from "../diagnostics/trace.ts";
import { NEWEST, PROFILES, type Profile } from "../profiles/profiles.ts";
import { isShared } from "../profiles/shared-set.ts";
import type { GlibcChoice, Mode, NamespaceChoice } from "./choices.ts";
import { joinFamilies } from "./families.ts";
import { readSettingsFiles } from "./file.ts";
import type { Name } from "./keys.ts";
import { type Environment, type Flags, flagLayer, type Layer, type Said, variableLayer } from "./layer.ts";
import { asSays, DEFAULT, type Setting } from "./source.ts";
import { type FurtherDirectories, type LibraryChoice, NOTHING_FURTHER, type TreeOptions } from "./tree-options.ts";
import { type Isolated, only, PARSERS, profileNamesOf } from "./values.ts";

type Parsed = { readonly [Of in keyof typeof PARSERS]: ReturnType<(typeof PARSERS)[Of]> };

export class Settings {
  /** Where settings files were looked for. */
  readonly files: readonly string[];
  /** Warnings about them for the user. */
  readonly warnings: readonly string[];
  readonly #layers: readonly Layer[];

  /** `program` is the file to run, without symbolic links. Throws UsageError for an invalid settings file. */
  constructor(flags: Flags, program: string | undefined, environment: Environment = process.env) {
    const { layers, paths, warnings } = readSettingsFiles(flags.settings, program, environment);
    this.#layers = [flagLayer(flags), variableLayer(environment), ...layers];
    // A file may use a profile that the other defines. It is checked even if overridden.
    for (const said of layers.map((layer) => layer.said("profile"))) if (said) profileNamesOf(said, this.profiles);
    this.files = paths;
    this.warnings = warnings;
  }

  // Each of these throws UsageError for an invalid value.

  get host(): Setting<string> {
    // Only if it is not set is the default searched for.
    return this.#said("host") ? this.#value("host", "") : { value: defaultHost(), source: DEFAULT };
  }

  get runtime(): Setting<string | undefined> {
    return this.#value("runtime", undefined);
  }

  /** The source is that of the one that is set. */
  get further(): Setting<FurtherDirectories> {
    const { hostLibraries, hostShares } = this;
    const { source } = hostLibraries.value.length > 0 ? hostLibraries : hostShares;
    return { value: { libraries: hostLibraries.value, shares: hostShares.value }, source };
  }

  get hostLibraries(): Setting<readonly string[]> {
    return this.#value("host-libraries", []);
  }

  get hostShares(): Setting<readonly string[]> {
    return this.#value("host-shares", []);
  }

  get glibc(): Setting<GlibcChoice> {
    return this.#value("glibc", "auto");
  }

  get mode(): Setting<Mode> {
    return this.#value("mode", "auto");
  }

  get mountNamespace(): Setting<NamespaceChoice> {
    return this.#value("mount-namespace", "auto");
  }

  get trace(): Setting<readonly Category[]> {
    return this.#value("trace", []);
  }

  get isolate(): Setting<readonly Isolated[]> {
    return this.#value("isolate", []);
  }

  /** Names of profiles. By default all, or none if libraries are named themselves. */
  get profile(): Setting<readonly string[]> {
    const said = this.#said("profile");
    if (said) return { value: profileNamesOf(said, this.profiles), source: said.source };
    return { value: this.isolate.value.length > 0 ? [] : Object.keys(PROFILES), source: DEFAULT };
  }

  /** All profiles: those in files override built-in ones. */
  get profiles(): Readonly<Record<string, Profile>> {
    const all = [PROFILES, ...this.#layers.toReversed().map(({ profiles }) => profiles)];
    return Object.fromEntries(all.flatMap((some) => Object.entries(some)));
  }

  /** Variables for the program; undefined for one that it is not to have. */
  get environment(): ReadonlyMap<string, Setting<string | undefined>> {
    const all = this.#layers.toReversed().flatMap(({ environment }) => [...environment]);
    return new Map(all.map(([name, { texts, source }]) => [name, { value: texts[0], source }]));
  }

  /** The settings about trees. */
  get trees(): TreeOptions {
    const { host, further, runtime, glibc, profiles, profile, isolate } = this;
    const named = profile.value.map((name) => ({ name, ...(profiles[name] as Profile) }));
    const libraries = new Map<string, LibraryChoice>();
    const add = (soname: string, more: Pick<LibraryChoice, "isExplicit" | "profiles" | "source">): void => {
      libraries.set(soname, { soname, host: this.#hostOf(soname, isolate, host), ...more });
    };
    for (const { name, isolate, newest } of named)
      for (const soname of [...isolate, ...newest]) {
        if (isShared(soname))
          throw new UsageError(
            `Cannot isolate "${soname}", as the profile "${name}" says: the whole process has one copy of it`,
          );
        const before = libraries.get(soname)?.profiles ?? [];
        add(soname, { isExplicit: false, profiles: [...before, name], source: profile.source });
      }
    for (const { soname } of isolate.value) add(soname, { isExplicit: true, profiles: [], source: isolate.source });
    const isOwn = (name: string) => profiles[name] !== PROFILES[name];
    joinFamilies(libraries, {
      host,
      hostOf: (soname) => this.#hostOf(soname, isolate, host),
      isNamed: (soname) => libraries.get(soname)?.isExplicit === true || !!libraries.get(soname)?.profiles.some(isOwn),
    });
    const newest = (soname: string) => {
      const { isExplicit, profiles } = libraries.get(soname) ?? {};
      return isExplicit === false && (profiles?.length === 0 || named.some(({ newest }) => newest.includes(soname)));
    };
    if (libraries.size === 0) throw new UsageError(`There is nothing to isolate${asSays(profile.source)}`);
    // Without chosen profiles, all of them set the drivers' variables.
    const speaking = profile.source === DEFAULT ? Object.values(PROFILES) : named;
    return {
      host,
      further,
      runtime,
      glibc,
      libraries: [...libraries.values()],
      newest: [...new Set([...named.flatMap(({ newest }) => newest), ...NEWEST])].filter(newest),
      variables: speaking.flatMap(({ environment }) => environment),
    };
  }

  /** With nothing isolated, on the glibc that the program has without capsule. */
  get native(): TreeOptions {
    const { host, runtime } = this;
    const nothing = { libraries: [], newest: [], variables: [], further: { value: NOTHING_FURTHER, source: DEFAULT } };
    return { host, runtime, glibc: { value: "runtime", source: DEFAULT }, ...nothing };
  }

  /** All settings but those of single libraries, by their names in files. */
  get all(): ReadonlyMap<Name, Setting<string | readonly string[] | undefined>> {
    const { host, hostLibraries, hostShares, runtime, isolate, profile, glibc, mode, mountNamespace, trace } = this;
    const isolated = ({ soname, directory }: Isolated) => (directory === undefined ? soname : `${soname}=${directory}`);
    return new Map<Name, Setting<string | readonly string[] | undefined>>([
      ["host", host],
      ["runtime", runtime],
      ["isolate", { ...isolate, value: isolate.value.map(isolated) }],
      ["profile", profile],
      ["host-libraries", hostLibraries],
      ["host-shares", hostShares],
      ["glibc", { ...glibc, value: typeof glibc.value === "string" ? glibc.value : glibc.value.tree }],
      ["mode", mode],
      ["mount-namespace", mountNamespace],
      ["trace", trace],
    ]);
  }

  /** Libraries that have a host tree in a file, but are not isolated. */
  get idle(): Setting<string>[] {
    const isolated = new Set(this.trees.libraries.map(({ soname }) => soname));
    return this.#layers.flatMap((layer) =>
      layer.sonames.flatMap((soname) => {
        const said = layer.hostOf(soname);
        return said && !isolated.has(soname) ? [{ value: soname, source: said.source }] : [];
      }),
    );
  }

  /** The host tree of one library. SONAME=DIR has the precedence of its source: a variable may override it. */
  #hostOf(soname: string, isolate: Setting<readonly Isolated[]>, otherwise: Setting<string>): Setting<string> {
    const own = isolate.value.findLast((one) => one.soname === soname)?.directory;
    const isolating = this.#layers.find((layer) => layer.said("isolate"));
    for (const layer of this.#layers) {
      if (own !== undefined && layer === isolating) return { value: own, source: isolate.source };
      const said = layer.hostOf(soname);
      if (said) return { value: only(said), source: said.source };
    }
    return otherwise;
  }

  #said(name: Name): Said | undefined {
    return this.#layers.find((layer) => layer.said(name))?.said(name);
  }

  #value<Of extends keyof Parsed, Otherwise>(name: Of, otherwise: Otherwise): Setting<Parsed[Of] | Otherwise> {
    const said = this.#said(name);
    if (!said) return { value: otherwise, source: DEFAULT };
    return { value: (PARSERS[name] as (said: Said) => Parsed[Of])(said), source: said.source };
  }
}

/** Where containers mount their host, else the machine itself. */
function defaultHost(): string {
  const hosts = ["/run/host", "/host"].filter((host) =>
    ["/usr/lib", "/usr/lib64", "/lib", "/nix/store", "/gnu/store"].some((lib) => existsSync(host + lib)),
  );
  return hosts[0] ?? "/";
}
