/** What a person typed, back into the value a proposal carries. */
import type { Json } from "../../api/entity";
import type { Proposal } from "../../api/ops";

export interface Edited {
  original: Proposal;
  text: string;
  isKept: boolean;
}

export const editable = (proposes: readonly Proposal[]): Edited[] =>
  proposes.map((original) => ({ original, text: textOf(original.value), isKept: true }));

export const textOf = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));

export type Altered = { proposes: Proposal[] } | { wrong: "none" | "same" | "number"; attribute?: string };

export function altered(edited: readonly Edited[]): Altered {
  const kept = edited.filter(({ isKept }) => isKept);
  if (kept.length === 0) return { wrong: "none" };
  const proposes: Proposal[] = [];
  for (const { original, text } of kept) {
    const value = valueOf(original.value, text.trim());
    if (value === undefined) return { wrong: "number", attribute: original.attribute };
    proposes.push({ ...original, value });
  }
  const isSame = kept.length === edited.length && kept.every(({ original, text }) => textOf(original.value) === text.trim());
  return isSame ? { wrong: "same" } : { proposes };
}

/** Of the same kind as before: a number stays one, a flag stays one. */
function valueOf(before: Json, text: string): Json | undefined {
  if (typeof before === "number") {
    const value = Number(text);
    return text === "" || !Number.isFinite(value) ? undefined : value;
  }
  if (typeof before === "boolean") return text === "true";
  if (typeof before === "string") return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
