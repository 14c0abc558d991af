/** Where sources come in: the file picker, and the whole page as a place to drop them. */

/**
 * @param {(sources: File[]) => void} take
 */
export function openIntake(take) {
  const picker = /** @type {HTMLInputElement} */ (document.getElementById("picker"));
  document.getElementById("choose").addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    take([...picker.files]);
    picker.value = ""; // so that the same source can be chosen again
  });
  acceptDrops(take);
}

function acceptDrops(take) {
  let depth = 0; // dragenter and dragleave come for every element under the pointer
  const show = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dragging", depth > 0);
  };
  onDrag("dragenter", () => show(+1));
  onDrag("dragleave", () => show(-1));
  onDrag("dragover", (event) => (event.dataTransfer.dropEffect = "copy"));
  onDrag("drop", (event) => {
    show(-Infinity);
    take(droppedSources(event.dataTransfer));
  });
}

function onDrag(type, listener) {
  document.addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    listener(event);
  });
}

/** What was dropped, without folders: they look like empty sources. */
function droppedSources({ items, files }) {
  const isFolder = (at) => items[at]?.webkitGetAsEntry?.()?.isDirectory ?? false;
  return [...files].filter((_, at) => !isFolder(at));
}
