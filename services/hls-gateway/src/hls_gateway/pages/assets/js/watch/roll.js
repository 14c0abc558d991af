/** The table of those who watch. A row lives as long as its viewer, so that nothing flickers. */

import { say, stamp } from "../page/template.js";

/** @typedef {ReturnType<typeof import("../words/audience.js").describeViewer>} Entry */

export class Roll {
  #body = document.getElementById("viewers-rows");
  /** @type {Map<string, ReturnType<typeof stamp>>} */
  #rows = new Map();

  /** @param {Entry[]} entries In the order to be shown. */
  show(entries) {
    this.#dropAllBut(new Set(entries.map(({ id }) => id)));
    entries.forEach((entry, at) => {
      const { node } = this.#fill(entry);
      const there = this.#body.children[at] ?? null;
      if (there !== node) this.#body.insertBefore(node, there);
    });
  }

  /** @param {Entry} entry */
  #fill({ id, isOwn, level, ...words }) {
    const row = this.#rows.get(id) ?? stamp("viewer");
    this.#rows.set(id, row);
    for (const [slot, word] of Object.entries(words)) say(row.slots[slot], word);
    row.slots.name.title = id;
    row.slots.level.style.setProperty("--level", String(level));
    row.node.classList.toggle("own", isOwn);
    row.node.dataset.connection = words.connection;
    return row;
  }

  #dropAllBut(ids) {
    for (const [id, { node }] of this.#rows) {
      if (ids.has(id)) continue;
      node.remove();
      this.#rows.delete(id);
    }
  }
}
