/**
 * Plays by hls.js: the engine of every browser with Media Source Extensions.
 *
 * An engine is an EventTarget with load(), resume(), choose(), close(), `renditions` and measure(). It dispatches
 * "renditions" (they are known now), "flow" (something arrived), "switch" (another rendition is shown) and "fault",
 * a CustomEvent whose detail is a PlaybackFault.
 */

/** How long a recording's past stays in memory for seeking back, seconds. */
const BACK_BUFFER_S = 60;

export class HlsJsEngine extends EventTarget {
  #Hls;
  #hls;
  #url;
  #measured = false;
  #isGrowing = null;
  #lacksPlaylist = false;

  /**
   * @param {any} Hls The library.
   * @param {HTMLVideoElement} video
   * @param {string} url Of the multivariant playlist.
   * @param {{startsAt_s: number}} options -1: at the live edge.
   */
  constructor(Hls, video, url, { startsAt_s }) {
    super();
    this.#Hls = Hls;
    this.#url = url;
    this.#hls = new Hls({ startPosition: startsAt_s, backBufferLength: BACK_BUFFER_S });
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
      isGrowing: this.#isGrowing,
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
    this.#hls.on(Events.LEVEL_UPDATED, (_, { details }) => this.#readPlaylist(details));
    this.#hls.on(Events.ERROR, (_, data) => data.fatal && this.#fail(data));
  }

  /** A playlist that came again is as good as media: when a stream has just ended, no more media follows. */
  #readPlaylist(details) {
    this.#isGrowing = details.live;
    if (this.#lacksPlaylist) this.dispatchEvent(new Event("flow"));
    this.#lacksPlaylist = false;
  }

  #fail({ type, details, response }) {
    const isNetwork = type === this.#Hls.ErrorTypes.NETWORK_ERROR;
    this.#lacksPlaylist = isNetwork && !details.startsWith("frag");
    const isCodec = ["manifestIncompatibleCodecsError", "bufferAddCodecError"].includes(details);
    const kind = isNetwork ? "network" : isCodec ? "unsupported" : "media";
    const fault = { kind, status: isNetwork ? (response?.code ?? 0) : 0, detail: details };
    this.dispatchEvent(new CustomEvent("fault", { detail: fault }));
  }
}
