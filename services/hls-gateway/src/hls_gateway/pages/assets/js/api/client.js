/** Makes calls of the JSON API: what comes back is an object, what goes wrong is a Fault. */

import { Fault, faultOf, unreachable } from "./fault.js";

const DEADLINE_MS = 15_000;

/**
 * @param {"GET"|"POST"|"DELETE"} method
 * @param {string} path
 * @param {object} [body]
 * @param {{deadline_ms?: number}} [patience]
 * @returns {Promise<any>}
 */
export async function call(method, path, body, { deadline_ms = DEADLINE_MS } = {}) {
  const answer = await reach(path, {
    method,
    body: body && JSON.stringify(body),
    headers: body ? { "content-type": "application/json" } : {},
    signal: AbortSignal.timeout(deadline_ms),
    cache: "no-store",
  });
  const text = await answer.text().catch(() => "");
  if (!answer.ok) throw faultOf(answer.status, text);
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault("The server's answer makes no sense: it is no JSON.", { status: answer.status });
  }
}

async function reach(path, request) {
  try {
    return await fetch(path, request);
  } catch (error) {
    throw error.name === "TimeoutError" ? unreachable("The server took too long to answer.") : unreachable();
  }
}
