// Does nothing, for the time that Bun itself needs.
export {};
