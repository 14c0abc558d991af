/** The dialog in which a live stream is made. */

import { Fault } from "../api/fault.js";
import { createStream } from "../api/streams.js";
import { say, sayOrHide } from "../page/template.js";
import { randomHex } from "../words/naming.js";
import { WINDOWS, isWhole, readWish } from "../words/wish.js";

/** @returns {any} */
const at = (id) => document.getElementById(id);

/** @param {(stream: import("../api/streams.js").Stream) => void} onCreated */
export function openGoLive(onCreated) {
  const form = at("golive-form");
  at("golive-window").append(...WINDOWS.map(({ value, label, isUsual = false }) => new Option(label, value, isUsual, isUsual)));
  at("golive-window").addEventListener("change", followWindow);
  at("golive-open").addEventListener("click", () => begin(form));
  at("golive-drop").addEventListener("click", () => at("golive").close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(form, onCreated);
  });
}

function begin(form) {
  form.reset();
  form.dataset.request = randomHex(16);
  followWindow();
  blame(null);
  at("golive").showModal();
}

/** Where nothing leaves, everything is recorded. */
function followWindow() {
  const keepsAll = isWhole(at("golive-window").value);
  at("golive-record").disabled = keepsAll;
  if (keepsAll) at("golive-record").checked = true;
}

async function submit(form, onCreated) {
  if (form.ariaBusy === "true") return;
  setBusy(form, true);
  blame(null);
  try {
    const stream = await createStream(readWish(new FormData(form), form.dataset.request));
    at("golive").close();
    onCreated(stream);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    blame(error);
  } finally {
    setBusy(form, false);
  }
}

/** Busy buttons are not disabled: a disabled one would lose the focus. */
function setBusy(form, busy) {
  form.ariaBusy = String(busy);
  say(at("golive-go"), busy ? "Creating…" : "Create the stream");
}

/** @param {Fault|null} fault Shown under the fields; the one that is to blame is marked. */
function blame(fault) {
  sayOrHide(at("golive-fault"), fault?.message ?? "");
  for (const entry of at("golive-form").querySelectorAll("input, select")) {
    entry.setAttribute("aria-invalid", String(Boolean(fault) && entry.name === fault.field));
  }
}
