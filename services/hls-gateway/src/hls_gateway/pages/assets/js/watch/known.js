/** Asks the API what is known of the stream that is watched. */

import { Fault } from "../api/fault.js";
import { newestJob } from "../api/recordings.js";
import { getStream } from "../api/streams.js";

const MISSING = Symbol("missing");

/**
 * @param {string} streamId
 * @returns {Promise<import("../words/stream.js").Known>}
 */
export async function readKnown(streamId) {
  const stream = await orMissing(getStream(streamId));
  if (stream !== MISSING && !stream.recording_id) return { streamId, stream, job: null, hasRecording: false };
  const job = await orMissing(newestJob(stream === MISSING ? streamId : stream.recording_id));
  return {
    streamId,
    stream: stream === MISSING ? null : stream,
    job: job === MISSING ? null : job,
    hasRecording: job !== MISSING,
  };
}

async function orMissing(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Fault && error.isMissing) return MISSING;
    throw error;
  }
}
