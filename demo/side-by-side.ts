// Two outputs of "name: value" lines as one table.

/** The rows are the names, in their order. `=` marks the rows where both have the same value. */
export function sideBySide(head: readonly [string, string, string], left: string, right: string): string {
  const [one, other] = [valuesOf(left), valuesOf(right)];
  const names = [...new Set([...one.keys(), ...other.keys()])];
  const rows = [head, ...names.map((name) => [name, one.get(name) ?? "", other.get(name) ?? ""])];
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const [first, second] = [width(0), width(1)];
  return rows
    .map(([name = "", ours = "", theirs = ""], i) => {
      const mark = i === 0 || ours !== theirs ? " " : "=";
      return `  ${name.padEnd(first)}  ${ours.padEnd(second)} ${mark} ${theirs}`.trimEnd();
    })
    .join("\n");
}

function valuesOf(text: string): Map<string, string> {
  const lines = text.split("\n").map((line) => /^([^:]+): (.*)$/.exec(line));
  return new Map(lines.flatMap((match) => (match ? [[match[1] ?? "", match[2] ?? ""]] : [])));
}
