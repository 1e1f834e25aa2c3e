// Capsule's directory in the user's cache. Nothing is imported here that takes time: see reexec/from-cache.ts.

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where this user's runs keep what they know; undefined without a home. */
export function cacheOf({ XDG_CACHE_HOME: cache, HOME: home }: Environment): string | undefined {
  if (cache?.startsWith("/")) return `${cache}/capsule`;
  return home?.startsWith("/") ? `${home}/.cache/capsule` : undefined;
}
