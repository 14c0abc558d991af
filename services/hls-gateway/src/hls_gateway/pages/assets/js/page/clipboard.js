/** Copies text, also on pages that came without TLS, which get no clipboard of their own. */

/**
 * @param {string} text
 * @param {HTMLElement} near Where a field can stand for a moment: an open dialog lets no other be selected.
 * @returns {Promise<boolean>} False: the browser does not allow it.
 */
export async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text, near);
  }
}

function copyBySelection(text, near) {
  const field = document.createElement("textarea");
  const focused = /** @type {HTMLElement|null} */ (document.activeElement);
  field.className = "unseen";
  field.value = text;
  near.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return isCopied;
}
