/** Addresses below /console: which page, and what of it. */
export const PAGES = ["start", "now", "operations", "explore", "sources", "audit", "health", "admin", "developers", "sign-in"] as const;
export type Page = (typeof PAGES)[number];

export interface Place {
  page: Page | undefined;
  /** What stands behind the page's name: an id, decoded. */
  rest: string;
  query: URLSearchParams;
}

export function readPlace(pathname: string, search: string): Place {
  const [root = "", name = "", ...rest] = pathname.replace(/^\//, "").split("/");
  const query = new URLSearchParams(search);
  if (root === "" || (root === "console" && name === "")) return { page: "now", rest: "", query };
  const page = root === "console" ? PAGES.find((known) => known === name) : undefined;
  return { page, rest: decoded(rest.join("/")), query };
}

/** What is no encoded text is shown as it stands: it leads to an entity that does not exist. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function path(page: Page, rest = "", query: Record<string, string> = {}): string {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return `/console/${page}${rest ? `/${encodeURIComponent(rest)}` : ""}${asked ? `?${asked}` : ""}`;
}
