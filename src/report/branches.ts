// A tree of text, drawn with lines.

export interface Branch {
  readonly text: string;
  /** Lines below the text that are not branches. */
  readonly notes?: readonly string[];
  readonly branches: readonly Branch[];
}

/** `rule` styles the lines that connect branches. */
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
