/** Finds titles and ids for recordings and streams. Pure, but for what is random in an id. */

const LONGEST_SLUG = 40;
const LONGEST_TITLE = 200;

/** "Low tide, 3.mov" -> "Low tide, 3". */
export function titleOf(name) {
  return (name.replace(/\.[A-Za-z0-9]{1,5}$/, "") || name).slice(0, LONGEST_TITLE);
}

/** "Low tide, 3" -> "low-tide-3-9f2c41": readable in a URL, in the API's alphabet, and taken by nobody. */
export function idOf(title, fallback = "recording") {
  const plain = title.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const slug = plain.replace(/[^a-z0-9]+/g, "-").slice(0, LONGEST_SLUG).replace(/^-+|-+$/g, "");
  return `${slug || fallback}-${randomHex(3)}`;
}

/** So many random bytes, two characters each. */
export function randomHex(count) {
  const bytes = crypto.getRandomValues(new Uint8Array(count));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
