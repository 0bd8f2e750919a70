/** Addresses below /console and the browser's history. */
export const PAGES = ["start", "now", "operations", "explore", "audit", "health", "sign-in"] as const;
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
  return { page, rest: decodeURIComponent(rest.join("/")), query };
}

export function path(page: Page, rest = "", query: Record<string, string> = {}): string {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return `/console/${page}${rest ? `/${encodeURIComponent(rest)}` : ""}${asked ? `?${asked}` : ""}`;
}

const here = (): Place => readPlace(location.pathname, location.search);

class Router {
  place = $state.raw<Place>(here());

  constructor() {
    if (location.pathname === "/" || location.pathname === "/console" || location.pathname === "/console/") {
      history.replaceState(null, "", path("now"));
    }
    addEventListener("popstate", () => (this.place = here()));
  }

  go(address: string, replace = false): void {
    if (address !== location.pathname + location.search) {
      history[replace ? "replaceState" : "pushState"](null, "", address);
    }
    this.place = here();
  }
}

export const router = new Router();

/** A click on a link of ours changes the page without loading it again; others and new tabs are the browser's. */
export function follow(event: MouseEvent): void {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
  if (link.origin !== location.origin || !link.pathname.startsWith("/console")) return;
  event.preventDefault();
  router.go(link.pathname + link.search);
}
