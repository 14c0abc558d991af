/** Asks before something that cannot be undone. */

/**
 * @param {{question: string, consequence: string, go: string, keep?: string}} words
 * @returns {Promise<boolean>} True when the answer is to go on; Escape means no.
 */
export function confirmed({ question, consequence, go, keep = "Keep it" }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("confirm"));
  document.getElementById("confirm-question").textContent = question;
  document.getElementById("confirm-consequence").textContent = consequence;
  document.getElementById("confirm-go").textContent = go;
  document.getElementById("confirm-keep").textContent = keep;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "go"), { once: true });
  });
}
