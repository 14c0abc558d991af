/** Says what can be asked of a new live stream, and reads what was. Pure, but for what is random in an id. */

import { idOf } from "./naming.js";

/** How far viewers can rewind; of an event nothing leaves. */
export const WINDOWS = [
  { value: "300", label: "5 minutes" },
  { value: "1800", label: "30 minutes", isUsual: true },
  { value: "7200", label: "2 hours" },
  { value: "43200", label: "12 hours" },
  { value: "whole", label: "To the beginning" },
];

/** @param {string} value Of one of the windows. */
export function isWhole(value) {
  return value === "whole";
}

/**
 * @param {FormData} form
 * @param {string} requestId
 * @returns {import("../api/streams.js").StreamWish}
 */
export function readWish(form, requestId) {
  const text = (name) => String(form.get(name) ?? "").trim();
  const title = text("title");
  const keepsAll = isWhole(text("window"));
  return {
    stream_id: text("stream_id") || idOf(title, "live"),
    title,
    type: keepsAll ? "event" : "live",
    low_latency: form.has("low_latency"),
    dvr_window_s: keepsAll ? 0 : Number(text("window")),
    record: keepsAll || form.has("record"),
    request_id: requestId,
  };
}
