// The changes that `bun run mutate` makes to a source file, one at a time, found in TypeScript's syntax tree. Each is a
// mistake that somebody could make: a wrong comparison, a condition the other way round, a number that is one off, a
// call that was forgotten. A test should fail for each.

import * as ts from "typescript/unstable/ast";

/** A file with one change. */
export interface Mutant {
  /** As a path in the repository. */
  readonly file: string;
  /** What the file is without the change. */
  readonly text: string;
  /** Positions in the text, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
  /** From 1. */
  readonly line: number;
}

/** An operator → what stands in its place. */
const OPERATORS: Readonly<Record<string, string>> = {
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "===": "!==",
  "!==": "===",
  "+": "-",
  "-": "+",
  "*": "/",
  "/": "*",
  "%": "*",
  "&&": "||",
  "||": "&&",
  "&": "|",
  "|": "&",
  "^": "|",
  "<<": ">>",
  ">>": "<<",
  ">>>": "<<",
  "+=": "-=",
  "-=": "+=",
  "|=": "&=",
  "&=": "|=",
  "++": "--",
  "--": "++",
};

/** A method → what is called in its place. */
const METHODS = new Map([
  ["min", "max"],
  ["max", "min"],
  ["some", "every"],
  ["every", "some"],
  ["startsWith", "endsWith"],
  ["endsWith", "startsWith"],
]);

const isText = (node: ts.Node): boolean =>
  ts.isStringLiteral(node) ||
  ts.isTemplateExpression(node) ||
  ts.isNoSubstitutionTemplateLiteral(node) ||
  (ts.isBinaryExpression(node) && (isText(node.left) || isText(node.right)));

/** Its negation is what OPERATORS makes of it. */
const isEquality = (node: ts.Node): boolean =>
  ts.isBinaryExpression(node) && /^[!=]==$/.test(node.operatorToken.getText());

const isNot = (node: ts.Node): node is ts.PrefixUnaryExpression =>
  ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken;

/** The condition of a statement or of `? :`. */
function conditionOf(node: ts.Node): ts.Node | undefined {
  if (ts.isIfStatement(node) || ts.isWhileStatement(node) || ts.isDoStatement(node)) return node.expression;
  return ts.isConditionalExpression(node) || ts.isForStatement(node) ? node.condition : undefined;
}

/** A statement that is there for its effect: a call, an assignment, a deletion. */
function isEffect(node: ts.Node): boolean {
  if (!ts.isExpressionStatement(node)) return false;
  const { expression } = node;
  const isSuper = ts.isCallExpression(expression) && expression.expression.kind === ts.SyntaxKind.SuperKeyword;
  return !isSuper && !ts.isPostfixUnaryExpression(expression) && !ts.isPrefixUnaryExpression(expression);
}

/** One more, one less, and nothing at all. */
function othersOf(literal: string): string[] {
  const isBig = literal.endsWith("n");
  const digits = literal.replace(/_|n$/g, "");
  if (!isBig && !Number.isSafeInteger(Number(digits))) return ["0"];
  const value = isBig ? BigInt(digits) : BigInt(Number(digits));
  const others = value === 0n ? [1n] : [value + 1n, value - 1n, 0n];
  return [...new Set(others)].map((other) => `${other}${isBig ? "n" : ""}`);
}

/** All changes of one node, without those of the nodes in it. */
function* changesOf(node: ts.Node): Generator<readonly [ts.Node, string]> {
  const condition = conditionOf(node);
  if (condition !== undefined && !isEquality(condition) && !isNot(condition))
    yield [condition, `!(${condition.getText()})`];
  if (isEffect(node)) yield [node, ";"];
  if (node.kind === ts.SyntaxKind.TrueKeyword) yield [node, "false"];
  if (node.kind === ts.SyntaxKind.FalseKeyword) yield [node, "true"];
  if (ts.isNumericLiteral(node) || ts.isBigIntLiteral(node))
    for (const other of othersOf(node.getText())) yield [node, other];
  if (ts.isPrefixUnaryExpression(node) && /^[!~-]/.test(node.getText())) yield [node, node.operand.getText()];
  if (ts.isPostfixUnaryExpression(node))
    yield [node, `${node.operand.getText()}${OPERATORS[node.getText().slice(-2)]}`];
  if (ts.isPropertyAccessExpression(node)) {
    const other = METHODS.get(node.name.getText());
    if (other !== undefined) yield [node.name, other];
  }
  if (ts.isBinaryExpression(node)) {
    const operator = node.operatorToken.getText();
    const other = operator.startsWith("+") && isText(node) ? undefined : OPERATORS[operator];
    if (other !== undefined) yield [node.operatorToken, other];
    if (operator === "??") yield [node, node.left.getText()];
  }
}

export function mutantsOf(file: string, source: ts.SourceFile): Mutant[] {
  const { text } = source;
  const mutants: Mutant[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isInterfaceDeclaration(node)) return;
    for (const [changed, replacement] of changesOf(node)) {
      const start = changed.getStart();
      const line = text.slice(0, start).split("\n").length;
      mutants.push({ file, text, start, end: changed.getEnd(), replacement, line });
    }
    node.forEachChild(visit);
  };
  visit(source);
  return mutants;
}
