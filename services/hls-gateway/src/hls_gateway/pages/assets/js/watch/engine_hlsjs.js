/**
 * Plays by hls.js: the engine of every browser with Media Source Extensions.
 *
 * An engine is an EventTarget with load(), resume(), choose(), close(), `renditions` and measure(). It dispatches
 * "renditions" (they are known now), "flow" (something arrived), "switch" (another rendition is shown), and two
 * CustomEvents whose detail is a PlaybackFault: "trouble" (the engine itself tries again) and "fault" (it gave up).
 */

/** How long a recording's past stays in memory for seeking back, seconds. */
const BACK_BUFFER_S = 60;

export class HlsJsEngine extends EventTarget {
  #Hls;
  #hls;
  #url;
  #measured = false;
  #lacksPlaylist = false;

  /**
   * @param {any} Hls The library.
   * @param {HTMLVideoElement} video
   * @param {string} url Of the multivariant playlist.
   */
  constructor(Hls, video, url) {
    super();
    this.#Hls = Hls;
    this.#url = url;
    this.#hls = new Hls({ backBufferLength: BACK_BUFFER_S });
    this.#listen();
    this.#hls.attachMedia(video);
  }

  load() {
    this.#hls.loadSource(this.#url);
  }

  /** Go on after a fault: with what is there, or from the beginning when there is nothing yet. */
  resume() {
    if (this.#hls.levels.length) this.#hls.startLoad();
    else this.load();
  }

  /** Go on after the browser could not decode something. */
  recover() {
    this.#hls.recoverMediaError();
  }

  /** @param {number} index Of a rendition; -1: the engine chooses. What is buffered is played first. */
  choose(index) {
    if (index < 0) this.#hls.loadLevel = -1;
    else this.#hls.nextLevel = index;
  }

  close() {
    this.#hls.destroy();
  }

  /** @returns {import("../words/rendition.js").Rendition[]} */
  get renditions() {
    return this.#hls.levels.map((_, index) => this.#rendition(index));
  }

  /** What flows now; null where it is not known yet. */
  measure() {
    const shown = this.#hls.currentLevel;
    return {
      rendition: shown < 0 ? null : this.#rendition(shown),
      throughput_bps: this.#measured ? this.#hls.bandwidthEstimate : null,
    };
  }

  #rendition(index) {
    const { width = 0, height = 0, bitrate } = this.#hls.levels[index];
    return { index, width_pixels: width, height_pixels: height, bitrate_bps: bitrate };
  }

  #listen() {
    const { Events } = this.#Hls;
    const tell = (type) => () => this.dispatchEvent(new Event(type));
    this.#hls.on(Events.MANIFEST_PARSED, tell("renditions"));
    this.#hls.on(Events.LEVEL_SWITCHED, tell("switch"));
    this.#hls.on(Events.FRAG_BUFFERED, (_, { frag }) => (this.#measured ||= frag.type === "main"));
    this.#hls.on(Events.FRAG_BUFFERED, tell("flow"));
    this.#hls.on(Events.LEVEL_UPDATED, () => this.#readPlaylist());
    this.#hls.on(Events.ERROR, (_, data) => this.#err(data));
  }

  /** A playlist that came again is as good as media: when a stream has just ended, no more media follows. */
  #readPlaylist() {
    if (this.#lacksPlaylist) this.dispatchEvent(new Event("flow"));
    this.#lacksPlaylist = false;
  }

  #err({ type, details, response, fatal }) {
    const isNetwork = type === this.#Hls.ErrorTypes.NETWORK_ERROR;
    if (!fatal && !isNetwork) return; // stalls and the like, which hls.js mends
    this.#lacksPlaylist = isNetwork && !details.startsWith("frag");
    const isCodec = ["manifestIncompatibleCodecsError", "bufferAddCodecError"].includes(details);
    const kind = isNetwork ? "network" : isCodec ? "unsupported" : "media";
    const fault = { kind, status: isNetwork ? (response?.code ?? 0) : 0, detail: details };
    this.dispatchEvent(new CustomEvent(fatal ? "fault" : "trouble", { detail: fault }));
  }
}
