/** Plays by the browser's own HLS, where there is no Media Source. The same face as HlsJsEngine, but it tells less. */

const NETWORK = 2;
const DECODE = 3;
/** The browser stays behind the edge as it likes, and tells no target duration. */
const SLACK_S = 20;

export class NativeEngine extends EventTarget {
  #video;
  #url;
  #closing = new AbortController();

  constructor(video, url) {
    super();
    this.#video = video;
    this.#url = url;
    this.#on("error", () => this.#fail(video.error));
    this.#on("loadedmetadata", () => this.dispatchEvent(new Event("renditions")));
    this.#on("progress", () => this.dispatchEvent(new Event("flow")));
    this.#on("resize", () => this.dispatchEvent(new Event("switch")));
  }

  load() {
    this.#video.src = this.#url;
  }

  resume() {
    const position_s = this.#video.currentTime;
    this.load();
    this.#video.addEventListener("loadedmetadata", () => (this.#video.currentTime = position_s), { once: true });
  }

  recover() {
    this.resume();
  }

  /** The browser chooses, always. */
  choose() {}

  close() {
    this.#closing.abort();
    this.#video.removeAttribute("src");
  }

  get live() {
    const { seekable, duration, currentTime } = this.#video;
    if (duration !== Infinity || !seekable.length) return null;
    const edge_s = seekable.end(seekable.length - 1);
    return { start_s: seekable.start(0), sync_s: edge_s, slack_s: SLACK_S, latency_s: edge_s - currentTime, date_ms: this.dateAt(currentTime) };
  }

  /** Safari alone tells it. */
  dateAt(time_s) {
    const begun_ms = this.#video.getStartDate?.().getTime() ?? NaN;
    return Number.isFinite(begun_ms) ? begun_ms + time_s * 1_000 : null;
  }

  /** The browser tells servers nothing of itself. */
  get viewerId() {
    return "";
  }

  get renditions() {
    return [];
  }

  measure() {
    const { videoWidth, videoHeight } = this.#video;
    const rendition = { index: -1, width_pixels: videoWidth, height_pixels: videoHeight, bitrate_bps: 0 };
    return { rendition: videoHeight ? rendition : null, throughput_bps: null };
  }

  #on(type, listener) {
    this.#video.addEventListener(type, listener, { signal: this.#closing.signal });
  }

  #fail({ code, message }) {
    const kind = { [NETWORK]: "network", [DECODE]: "media" }[code] ?? "network";
    this.dispatchEvent(new CustomEvent("fault", { detail: { kind, status: 0, detail: message } }));
  }
}
