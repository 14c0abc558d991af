/** Makes the elements that charts are drawn of. */

const SVG = "http://www.w3.org/2000/svg";

/** @returns {SVGElement} */
export function shape(name, attributes) {
  return set(document.createElementNS(SVG, name), attributes);
}

export function text(words, attributes) {
  const element = shape("text", attributes);
  element.textContent = words;
  return element;
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}
