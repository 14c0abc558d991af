/** Does a thing again and again, never twice at once, and not at all while nobody looks at the page. */

export class Loop {
  #task;
  #timer = 0;
  #running = false;
  #wanted = false;

  /** @param {() => Promise<number>} task Answers after how many milliseconds it wants to run again. */
  constructor(task) {
    this.#task = task;
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
    for (const change of ["online", "offline"]) window.addEventListener(change, () => this.wake());
  }

  /** Run now, or, while a run is under way, once more right behind it. */
  async wake() {
    if (this.#running) {
      this.#wanted = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#running = true;
    const pause_ms = await this.#task().finally(() => (this.#running = false));
    this.#schedule(this.#wanted ? 0 : pause_ms);
    this.#wanted = false;
  }

  #schedule(pause_ms) {
    if (!Number.isFinite(pause_ms)) return;
    this.#timer = setTimeout(() => document.hidden || this.wake(), pause_ms);
  }
}

/** Pauses that grow with each failure in a row: 1, 2, 4, 8, then 10 seconds. */
export function backoff_ms(failures) {
  return Math.min(10_000, 1_000 * 2 ** Math.max(0, failures - 1));
}
