/** Short notices at the edge of the page. A failure stays until it is dismissed. */
import { tell } from "./problems";

export interface Toast {
  id: number;
  kind: "done" | "failed";
  text: string;
  detail: string;
}

const DONE_MS = 6_000;
const KEPT = 4;

class Toasts {
  list = $state<Toast[]>([]);
  #last = 0;

  #add(kind: Toast["kind"], text: string, detail: string): void {
    const id = ++this.#last;
    this.list = [...this.list, { id, kind, text, detail }].slice(-KEPT);
    if (kind === "done") setTimeout(() => this.dismiss(id), DONE_MS);
  }

  done(text: string): void {
    this.#add("done", text, "");
  }

  failed(error: unknown): void {
    const { text, detail, advice, code } = tell(error);
    this.#add("failed", text, [code ? `${detail} (${code})` : detail, advice].filter((part) => part !== "").join(" "));
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
