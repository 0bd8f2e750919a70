/** What stands between commas, and how a policy's reach is said. */
import type { Account, ReachRule, Token } from "../../api/trust";

export const partsOf = (text: string): string[] => [...new Set(text.split(/[,、，]/).map((part) => part.trim()).filter((part) => part !== ""))];

/** Of a full name only what stands behind the last `/` or `#`. */
export const shortName = (name: string): string => name.split(/[/#]/).at(-1) || name;

/** Full names inside a condition are long: the last part says enough, the whole stands in the title. */
export const shortCondition = (when: string): string => when.replace(/https?:\/\/[^\s"')]+/g, shortName);

export function attributesOf(rule: ReachRule): { kind: "all" } | { kind: "only" | "allBut"; names: string[] } {
  if (rule.attributes === "all") return { kind: "all" };
  if (Array.isArray(rule.attributes)) return { kind: "only", names: rule.attributes.map(shortName) };
  return { kind: "allBut", names: rule.attributes.allBut.map(shortName) };
}

export const isSignedIn = ({ sessions }: Account): boolean => sessions > 0;
/** Those that were used, the last first. */
export const inUse = (tokens: readonly Token[]): Token[] =>
  tokens.filter(({ lastUsedAt }) => lastUsedAt !== null).sort((a, b) => ((a.lastUsedAt ?? "") < (b.lastUsedAt ?? "") ? 1 : -1));
