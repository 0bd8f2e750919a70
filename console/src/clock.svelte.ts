/**
 * The city's clock: the server's own `now` where an answer has one, else the newest `observedAt` seen.
 * In the demo it runs faster than ours; between two answers it is carried on at the pace that was seen.
 */
import { paceOf, type Sample } from "./pace";

/** Samples older than this say nothing about the pace. */
const PACE_WINDOW_MS = 20_000;
const LIVE_WITHIN_MS = 120_000;

class Clock {
  #samples: Sample[] = [];
  /** Milliseconds since 1970 as last told; 0 before anything was. */
  told = $state(0);
  /** The same, carried on; moves once a second. */
  now = $state(0);
  /** How much faster than ours it runs. */
  pace = $state(1);

  constructor() {
    setInterval(() => this.#carryOn(), 1_000);
  }

  observe(time: string): void {
    const there = Date.parse(time);
    if (Number.isNaN(there) || there <= this.told) return;
    const here = Date.now();
    this.#samples = [...this.#samples.filter((sample) => here - sample.here < PACE_WINDOW_MS), { here, there }];
    this.told = there;
    const isOurs = Math.abs(here - there) < LIVE_WITHIN_MS;
    this.pace = isOurs ? 1 : paceOf(this.#samples);
    this.#carryOn();
  }

  get isKnown(): boolean {
    return this.told > 0;
  }

  iso(): string {
    return new Date(this.now || Date.now()).toISOString();
  }

  #carryOn(): void {
    const last = this.#samples.at(-1);
    if (!last || document.hidden) return;
    // No further than one window, lest a lost connection make time up.
    const since = Math.min(Date.now() - last.here, PACE_WINDOW_MS);
    this.now = Math.max(this.now, last.there + since * this.pace);
  }
}

export const clock = new Clock();
