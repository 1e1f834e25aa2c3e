// Whether a host tree has the libraries to isolate, drivers for them, and all their dependencies.

import type { Search } from "../../lib/tree/search.ts";
import { unlessRefused } from "../../lib/unless.ts";
import type { OwnedHost, Trees } from "../plan/trees.ts";
import type { Settings } from "../settings/settings.ts";
import { DEFAULT } from "../settings/source.ts";
import { driverFindings, namesIn } from "./drivers.ts";
import { type Finding, fine, hindrance, warning } from "./finding.ts";
import { tooNew } from "./glibc.ts";
import { type Checked, dependencyFindings, profileFindings } from "./libraries.ts";

/** Also returns all libraries that may be opened from the tree. */
export function hostFindings(
  { search, choices, ownership }: OwnedHost,
  isIsolated: (soname: string) => boolean,
  { profile, profiles }: Pick<Settings, "profile" | "profiles">,
  { runtime, glibc }: Pick<Trees, "runtime" | "glibc">,
): Checked {
  const sonames = [...choices.keys()].filter(isIsolated);
  const layout = [...layoutFindings(search)];
  if (sonames.length === 0) {
    const text = `${search.tree.name} has none of the libraries that are to be isolated`;
    const advice = "is it the root of a tree, with usr/lib and the like in it? --host names another";
    return { findings: [hindrance("libraries", text, advice), ...layout], libraries: [] };
  }
  // The user will miss a library of a profile that they named.
  const asked = new Set(profile.source === DEFAULT ? [] : profile.value);
  const names = profile.value.filter((name) => profiles[name]?.isolate.some((soname) => choices.has(soname)));
  const drivers = driverFindings(search, names, asked);

  const isElsewhere = (soname: string) => ownership.isShared(soname);
  const shown = dependencyFindings("libraries", search, sonames, isElsewhere, hindrance);
  const said = new Set(shown.findings.map(({ text }) => text));
  /** Drivers are opened when the isolated libraries are loaded already. */
  const opened = (paths: readonly string[]): Checked => {
    const { findings, libraries } = dependencyFindings("drivers", search, [...sonames, ...paths], isElsewhere, warning);
    return { findings: findings.filter(({ text }) => !said.has(text)), libraries };
  };
  const checked = [
    shown,
    ...drivers.alternatives.map((paths) => oneOf(paths.map((path) => opened([path])))),
    opened(drivers.others),
  ];
  const libraries = [...new Set(checked.flatMap((one) => one.libraries))];
  const faults = uniqueOf(checked.flatMap(({ findings }) => findings));
  const needs = [...faults, ...tooNew(libraries, glibc)];
  const told = `isolated libraries (${sonames.length}) and drivers have all that they need: ${libraries.length} files`;
  return {
    findings: [
      ...layout,
      ...profileFindings(search, runtime, names, profiles, asked),
      ...drivers.findings,
      ...(needs.length > 0 ? needs : [fine("libraries", told)]),
    ],
    libraries,
  };
}

/** Extra directories for libraries and data, and where else the tree may have OpenGL. */
function* layoutFindings(search: Search): Generator<Finding> {
  const { tree, layout } = search;
  const [libraries, shares] = [[...layout.first, ...layout.last].join(", "), layout.shares.join(", ")];
  const told = [libraries && `for libraries ${libraries}`, shares && `for data ${shares}`].filter(Boolean).join("; ");
  if (told !== "") yield fine("host-directories", `beside the usual directories, ${tree.name} has ${told}`);
  if (search.find("libGL.so.1", undefined)) return;
  const [store, ...others] = inStores(search);
  if (store === undefined) return;
  const more = others.length === 0 ? "" : ` (and ${others.length} more like it)`;
  yield warning(
    "host-directories",
    `${tree.name} has OpenGL in "${store}"${more}, where nothing is searched`,
    `name that directory: --host-libraries ${store}`,
  );
}

/** Package directories with libGL in the stores of NixOS and Guix, newest versions first. */
function inStores({ tree }: Search): string[] {
  return ["/nix/store", "/gnu/store"].flatMap((store) => {
    const real = unlessRefused(() => tree.resolve(store));
    const names = namesIn(real === undefined ? [] : [real], /^\w+-(libglvnd|mesa)-[\d.]+$/);
    const version = (name: string) => name.slice(name.indexOf("-"));
    names.sort((one, other) => version(other).localeCompare(version(one), "en", { numeric: true }));
    const paths = names.map((name) => `${store}/${name}/lib`);
    return paths.filter((path) => unlessRefused(() => tree.resolve(`${path}/libGL.so.1`)) !== undefined);
  });
}

/** Faults of drivers become hindrances if no driver is intact. */
function oneOf(drivers: readonly Checked[]): Checked {
  const isAny = drivers.some(({ findings }) => findings.length === 0);
  const found = drivers.flatMap(({ findings }) => findings);
  return {
    findings: isAny ? found : found.map((finding) => ({ ...finding, level: "hindrance" })),
    libraries: drivers.flatMap(({ libraries }) => libraries),
  };
}

/** Merges equal faults, keeping the highest severity. */
function uniqueOf(findings: readonly Finding[]): Finding[] {
  const byText = new Map<string, Finding>();
  for (const finding of findings)
    if (byText.get(finding.text)?.level !== "hindrance") byText.set(finding.text, finding);
  return [...byText.values()];
}
