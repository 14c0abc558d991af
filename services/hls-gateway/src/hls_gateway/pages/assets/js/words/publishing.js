/**
 * Says how to push to a stream: what OBS asks for, and what to type elsewhere. Pure.
 *
 * @typedef {object} Setting
 * @property {string} name
 * @property {string} value To be copied.
 * @property {string} shown The same, with the key covered.
 */

const COVER = "•".repeat(12);
const ENCODE = "-c:v libx264 -preset veryfast -g 60 -pix_fmt yuv420p -c:a aac";

/**
 * @param {import("../api/streams.js").Ingest} ingest
 * @returns {{studio: Setting[], elsewhere: Setting[]}} For OBS and its like; for the shell.
 */
export function describePublishing({ rtmp_url, srt_url, http_url, stream_key }) {
  const setting = (name, value) => ({ name, value, shown: value.replaceAll(stream_key, COVER) });
  const bySrt = srt_url ? [setting("SRT", srt_url)] : [];
  return {
    studio: [setting("Server", rtmp_url), setting("Stream key", stream_key)],
    elsewhere: [
      setting("ffmpeg", `ffmpeg -re -i source.mp4 ${ENCODE} -f flv ${rtmp_url}/${stream_key}`),
      ...bySrt,
      setting("HTTP", `ffmpeg -re -i source.mp4 ${ENCODE} -f mpegts - | curl -T - "${http_url}?stream_key=${stream_key}"`),
    ],
  };
}
