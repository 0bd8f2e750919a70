/** The browser's history. */
import { path, readPlace, type Place } from "./places";

export { path, type Page } from "./places";

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
