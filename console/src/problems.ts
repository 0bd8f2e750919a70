/** What went wrong, for the person who reads it: the server's own sentence where it gave one. */
import { Problem } from "./api/http";
import { t } from "./settings.svelte";
import { adviceOn } from "./words/advice";
import { problems } from "./words/shell";

export interface Told {
  text: string;
  /** What the server added, in its own language (English). */
  detail: string;
  /** What to do about it, where that is known. */
  advice: string;
  code: string;
  needsToken: boolean;
}

function sentence(problem: Problem): string {
  switch (problem.status) {
    case 0: return t(problems.noAnswer);
    case 401: return t(problems.unauthorized);
    case 403: return t(problems.forbidden);
    case 404: return problem.code === "SRV-001" || problem.code === "" ? t(problems.doorMissing) : t(problems.notFound);
    case 409: return t(problems.conflict);
    case 429:
    case 503: return t(problems.busy);
    default: return problem.status >= 500 ? t(problems.inside) : t(problems.refused);
  }
}

export function tell(error: unknown): Told {
  if (error instanceof Problem) {
    const needsToken = error.status === 401;
    const known = adviceOn(error.code);
    return { text: sentence(error), detail: error.detail || error.title, advice: known ? t(known) : "", code: error.code, needsToken };
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { text: t(problems.broken), detail, advice: "", code: "", needsToken: false };
}
