// What a check has found, and how much it matters.

/** `fine` hinders nothing, `warning` some programs or some uses, `hindrance` any program that is run like this. */
export type Level = "fine" | "warning" | "hindrance";

export interface Finding {
  /** What was looked at: a word that scripts can rely on. */
  readonly check: string;
  readonly level: Level;
  /** What is so. */
  readonly text: string;
  /** What the user can do about it. */
  readonly advice?: string;
}

/** The findings of checks that belong together. */
export interface Group {
  readonly title: string;
  readonly findings: readonly Finding[];
}

export const fine = (check: string, text: string): Finding => ({ check, level: "fine", text });

export const warning = (check: string, text: string, advice: string): Finding => ({
  check,
  level: "warning",
  text,
  advice,
});

export const hindrance = (check: string, text: string, advice: string): Finding => ({
  check,
  level: "hindrance",
  text,
  advice,
});

/** Does anything hinder? */
export const hinders = (groups: readonly Group[]): boolean =>
  groups.some(({ findings }) => findings.some(({ level }) => level === "hindrance"));
