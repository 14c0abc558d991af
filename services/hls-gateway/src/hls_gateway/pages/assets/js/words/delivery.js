/** Says what all streams together come to. Pure. */

import { bytes, percent } from "./units.js";

/**
 * @param {import("../api/distribution.js").Delivery} delivery
 * @returns {Array<[string, string]>} Nothing is said of what there is not.
 */
export function describeDelivery(delivery) {
  const { total_active_viewers: viewers, cdn_cache_hit_rate: hits_ratio, queue_depth: waiting } = delivery;
  const failures = Number(delivery.total_delivery_failures);
  /** @type {Array<[string, string]|false>} */
  const readings = [
    [String(viewers), viewers === 1 ? "viewer now" : "viewers now"],
    [delivery.total_segments_served, "segments sent"],
    [bytes(Number(delivery.total_bytes_served)), "in all"],
    hits_ratio > 0 && [percent(hits_ratio * 100), "of requests from memory"],
    waiting > 0 && [String(waiting), "wait to be pushed"],
    failures > 0 && [String(failures), "pushes given up"],
  ];
  return /** @type {Array<[string, string]>} */ (readings.filter(Boolean));
}
