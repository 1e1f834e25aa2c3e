// JSON that is kept from run to run, and believed only if it is what was written, whole and unchanged. What is inside
// need not be looked at then: no other program writes it, and the version says which of ours did.
//
//   {"version":20,"hash":"00000c0ffee00000",…}     the hash is that of all that follows the comma

export function sealed(version: number, content: object): string {
  const rest = JSON.stringify(content).slice(1);
  return head(version, rest) + rest;
}

/** What was sealed; undefined for any other text. */
export function unsealed(version: number, text: string): unknown {
  const rest = text.slice(head(version, "").length);
  return text.startsWith(head(version, rest)) ? JSON.parse(text) : undefined;
}

const head = (version: number, rest: string): string =>
  `{"version":${version},"hash":"${Bun.hash(rest).toString(16).padStart(16, "0")}",`;
