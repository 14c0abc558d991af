/** Asks the API what is known of the stream that is watched. */

import { Fault } from "../api/fault.js";
import { getRecording, newestJob } from "../api/recordings.js";
import { getStream } from "../api/streams.js";

/**
 * @param {string} streamId
 * @returns {Promise<import("../words/stream.js").Known>}
 */
export async function readKnown(streamId) {
  const stream = await orNull(getStream(streamId));
  if (stream && !stream.recording_id) return { streamId, stream, recording: null, job: null };
  const recordingId = stream?.recording_id ?? streamId;
  const recording = await orNull(getRecording(recordingId));
  const job = recording && (await orNull(newestJob(recordingId)));
  return { streamId, stream, recording, job };
}

/** What is not there is null; whatever else goes wrong is thrown on. */
async function orNull(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Fault && error.isMissing) return null;
    throw error;
  }
}
