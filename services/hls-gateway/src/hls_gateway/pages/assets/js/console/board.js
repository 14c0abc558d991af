/** The list of rows. A row lives as long as its recording is shown, so that focus and running gauges survive. */

import { Row } from "./row.js";

export class Board {
  #list;
  #actions;
  #onState;
  #fallback;
  /** @type {Map<string, Row>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} list
   * @param {import("./row.js").Actions} actions
   * @param {{onState: (view: import("./row.js").View) => void, focusFallback: HTMLElement}} options
   *   `onState` hears of each row whose state changed; `focusFallback` gets the focus of a row that went.
   */
  constructor(list, actions, { onState, focusFallback }) {
    this.#list = list;
    this.#actions = actions;
    this.#onState = onState;
    this.#fallback = focusFallback;
  }

  /** @param {import("./row.js").View[]} views In the order to be shown. */
  show(views) {
    this.#dropAllBut(new Set(views.map((view) => view.id)));
    views.forEach((view, at) => this.#place(this.#showRow(view), at));
  }

  #showRow(view) {
    const row = this.#rows.get(view.id) ?? new Row(this.#actions);
    const before = row.state;
    this.#rows.set(view.id, row);
    row.show(view);
    if (before && before !== view.state) this.#onState(view);
    return row;
  }

  #place(row, at) {
    const there = this.#list.children[at] ?? null;
    if (there !== row.node) this.#list.insertBefore(row.node, there);
  }

  #dropAllBut(ids) {
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      const hadFocus = row.node.contains(document.activeElement);
      row.node.remove();
      this.#rows.delete(id);
      if (hadFocus) this.#fallback.focus();
    }
  }
}
