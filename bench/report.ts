// Tables in plain text.

export interface Column {
  readonly title: string;
  /** Behind the point. */
  readonly digits: number;
}

export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
}

/** `cells` has one for each column; undefined where nothing could be measured. */
export interface Row {
  readonly label: string;
  readonly cells: readonly (number | undefined)[];
}

export function column(title: string, digits: number): Column {
  return { title, digits };
}

export function printTable({ title, columns, rows }: Table): void {
  const head = ["", ...columns.map(({ title }) => title)];
  const body = rows.map(({ label, cells }) => [
    label,
    ...columns.map(({ digits }, i) => cells[i]?.toFixed(digits) ?? "-"),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...body].map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ");
  console.log(["", title, ...[head, ...body].map((row) => `  ${line(row)}`)].join("\n"));
}
