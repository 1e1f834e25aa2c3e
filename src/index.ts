// The library: what `import … from "capsule"` gives.

export { type Answer, Capsule, type CapsuleOptions, type MappedLibrary, openCapsule } from "./library/capsule.ts";
