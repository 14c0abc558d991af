/** Tells below the boards what all streams together deliver; while that cannot be read, nothing. */

import { getDelivery } from "../api/distribution.js";
import { Fault } from "../api/fault.js";
import { Loop } from "../page/loop.js";
import { fillReadings } from "../page/template.js";
import { describeDelivery } from "../words/delivery.js";

const PAUSE_MS = 5_000;

/** @param {HTMLElement} line */
export function openDelivery(line) {
  new Loop(() => show(line)).wake();
}

async function show(line) {
  try {
    fillReadings(line, describeDelivery(await getDelivery()));
    line.hidden = false;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    line.hidden = true;
  }
  return PAUSE_MS;
}
