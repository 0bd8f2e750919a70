/** A new line begins where the one before began; behind a colon two further. */
export function newLine(text: string, caret: number): { text: string; caret: number } {
  const line = text.slice(text.lastIndexOf("\n", caret - 1) + 1, caret);
  const indent = /^[ ]*(?:- )?/.exec(line)?.[0].replace("-", " ") ?? "";
  const added = `\n${indent}${/:\s*$/.test(line) ? "  " : ""}`;
  return { text: text.slice(0, caret) + added + text.slice(caret), caret: caret + added.length };
}
