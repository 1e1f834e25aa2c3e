// The result of a check, and its severity.

/** `fine`: no problem. `warning`: affects some programs or uses. `hindrance`: affects every program run this way. */
export type Level = "fine" | "warning" | "hindrance";

export interface Finding {
  /** The name of the check, which scripts can rely on. */
  readonly check: string;
  readonly level: Level;
  readonly text: string;
  /** What the user can do about it. */
  readonly advice?: string;
}

/** The findings of related checks. */
export interface Group {
  readonly title: string;
  readonly findings: readonly Finding[];
}

export const fine = (check: string, text: string): Finding => ({ check, level: "fine", text });

/** Makes a finding that is not fine. */
export type Complaint = (check: string, text: string, advice: string) => Finding;

export const warning: Complaint = (check, text, advice) => ({ check, level: "warning", text, advice });
export const hindrance: Complaint = (check, text, advice) => ({ check, level: "hindrance", text, advice });

export const hinders = (groups: readonly Group[]): boolean =>
  groups.some(({ findings }) => findings.some(({ level }) => level === "hindrance"));
