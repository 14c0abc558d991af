/** Stamps out a <template>, and fills what it made: text goes in as text, never as markup. */

/**
 * @param {string} templateId
 * @returns {{node: HTMLElement, slots: Record<string, any>}} The copy, and its [data-slot] elements.
 */
export function stamp(templateId) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(templateId));
  const node = /** @type {HTMLElement} */ (template.content.firstElementChild.cloneNode(true));
  /** @type {Record<string, any>} */
  const slots = {};
  for (const slot of /** @type {NodeListOf<HTMLElement>} */ (node.querySelectorAll("[data-slot]"))) slots[slot.dataset.slot] = slot;
  return { node, slots };
}

/** Set an element's text; an unchanged one is left alone, so that selections and live regions stay quiet. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an element's text, and show it only when there is some. */
export function sayOrHide(element, text) {
  say(element, text);
  element.hidden = !text;
}

/**
 * Fill an element with readings, the figure of each in bold: [["43 %", ""], ["1.2×", "real time"]].
 * @param {HTMLElement} element
 * @param {Array<[string, string]>} readings
 */
export function fillReadings(element, readings) {
  const wanted = JSON.stringify(readings);
  if (element.dataset.shown === wanted) return;
  element.dataset.shown = wanted;
  element.replaceChildren(...readings.map(([figure, words]) => reading(figure, words)));
}

function reading(figure, words) {
  const span = document.createElement("span");
  const bold = document.createElement("b");
  bold.textContent = figure;
  span.append(bold, words && ` ${words}`);
  return span;
}

/** Show a share of 0 to 1 on a gauge, or hide how far it is when that is not known. */
export function fillGauge(gauge, ratio, label) {
  gauge.firstElementChild.style.setProperty("--level", String(Math.min(1, Math.max(0, ratio))));
  gauge.setAttribute("aria-valuenow", String(Math.round(ratio * 100)));
  gauge.setAttribute("aria-label", label);
}
