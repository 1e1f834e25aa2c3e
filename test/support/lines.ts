// Output of a program, as a list of its lines.

export function lines(text: string): string[] {
  if (text !== "" && !text.endsWith("\n")) throw new Error(`The last line has no end: ${JSON.stringify(text)}`);
  return text.split("\n").slice(0, -1);
}
