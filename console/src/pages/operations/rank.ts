/** In which order suggestions are looked at, and how much time is left. */
import type { Suggestion } from "../../api/ops";

/** Open ones first, the nearest deadline on top; then what was decided last. */
export function ranked(suggestions: readonly Suggestion[]): Suggestion[] {
  const openFirst = (one: Suggestion): number => (one.status === "open" ? 0 : 1);
  const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...suggestions].sort((a, b) => {
    if (openFirst(a) !== openFirst(b)) return openFirst(a) - openFirst(b);
    if (a.status === "open") return byText(a.deadline, b.deadline) || byText(a.id, b.id);
    return byText(b.decidedAt ?? b.deadline, a.decidedAt ?? a.deadline) || byText(a.id, b.id);
  });
}

export type Urgency = "calm" | "soon" | "over";
const SOON_S = 10 * 60;

export function urgencyOf(deadline: string, now: string): { seconds: number; urgency: Urgency } {
  const seconds = (Date.parse(deadline) - Date.parse(now)) / 1000;
  return { seconds, urgency: seconds <= 0 ? "over" : seconds <= SOON_S ? "soon" : "calm" };
}

/** The neighbour in the list, the ends holding. */
export function step(ids: readonly string[], chosen: string, by: 1 | -1): string {
  const at = ids.indexOf(chosen);
  return ids[at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + by))] ?? "";
}
