// A tree of lines, drawn with lines.

export interface Branch {
  /** As it is shown. */
  readonly text: string;
  /** Lines that belong to it, and are no branches. */
  readonly notes?: readonly string[];
  readonly branches: readonly Branch[];
}

/** `rule` draws what is between the lines' beginnings. */
export function linesOf(root: Branch, rule: (text: string) => string): string[] {
  const lines: string[] = [];
  const draw = ({ text, notes = [], branches }: Branch, first: string, rest: string): void => {
    lines.push(rule(first) + text);
    const between = branches.length > 0 ? "│ " : "  ";
    lines.push(...notes.map((note) => rule(rest + between) + note));
    for (const [i, branch] of branches.entries()) {
      const isLast = i === branches.length - 1;
      draw(branch, `${rest}${isLast ? "└── " : "├── "}`, `${rest}${isLast ? "    " : "│   "}`);
    }
  };
  draw(root, "", "");
  return lines;
}
