// Names in this process's global scope and in its objects: dlsym(3).

import { LinkError } from "../link-error.ts";
import { cString, pointer } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import { address, type LoaderFunctions } from "./bindings.ts";

export class Symbols {
  constructor(readonly loader: LoaderFunctions) {}

  /** Looks a name up in the process's global scope, resolving an IFUNC. */
  find(name: string): Address | undefined {
    return this.#found(this.loader.dlsym(null, cString(name)));
  }

  /** Like find, but throws LinkError. */
  mustFind(name: string): Address {
    const found = this.find(name);
    if (found === undefined) throw new LinkError(`Cannot find "${name}" in this process`, { symbol: name });
    return found;
  }

  /** Looks a name up in an object, by its handle, and its dependencies. */
  findIn(object: Address, name: string): Address | undefined {
    return this.#found(this.loader.dlsym(pointer(object), cString(name)));
  }

  /** Like find, for the addresses of C strings; 0 if there is none. */
  findAt(name: Address, version: Address | undefined): Address {
    const { dlsym, dlvsym } = this.loader;
    return address(version === undefined ? dlsym(null, pointer(name)) : dlvsym(null, pointer(name), pointer(version)));
  }

  #found(at: number | bigint | null): Address | undefined {
    if (at !== null) return address(at);
    this.loader.dlerror();
    return undefined;
  }
}
