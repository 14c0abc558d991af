/**
 * Plays by hls.js: the engine of every browser with Media Source Extensions.
 *
 * An engine is an EventTarget with load(), resume(), choose(), close(), dateAt(), `renditions`, `viewerId`, measure() and `live`. It dispatches
 * "renditions" (they are known now), "flow" (something arrived), "switch" (another rendition is shown), and two
 * CustomEvents whose detail is a PlaybackFault: "trouble" (the engine itself tries again) and "fault" (it gave up).
 */

import { placeOf } from "../words/decision.js";

/** How long a recording's past stays in memory for seeking back, seconds. */
const BACK_BUFFER_S = 60;

/** A publisher that is away is waited for as long as the viewer likes, and without pauses that its return would outlast. */
const PATIENT = {
  default: {
    maxTimeToFirstByteMs: 10_000,
    maxLoadTimeMs: 20_000,
    timeoutRetry: { maxNumRetry: Infinity, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry: Infinity, retryDelayMs: 500, maxRetryDelayMs: 2_000, backoff: "linear" },
  },
};

/** A live picture that fell behind catches up so fast: slow enough for nobody to hear it. */
const CATCH_UP_RATE = 1.05;

/** Within one target duration it catches up; what lies a little further behind is not live any more. */
const SLACK_TARGETS = 1.5;

const LIVE = { lowLatencyMode: true, maxLiveSyncPlaybackRate: CATCH_UP_RATE, playlistLoadPolicy: PATIENT };

/** Who asks is told in headers, so that the addresses of media are the same for all viewers. */
const CMCD = { useHeaders: true };

const SERVICE_UNAVAILABLE = 503;

/** @returns {{width_pixels: number, height_pixels: number}|undefined} Where video is shown; undefined: it is not. */
function viewportOf(video) {
  if (!video?.clientWidth || !video.clientHeight) return undefined;
  const pixels = (side) => Math.max(1, Math.round(side * devicePixelRatio));
  return { width_pixels: pixels(video.clientWidth), height_pixels: pixels(video.clientHeight) };
}

export class HlsJsEngine extends EventTarget {
  #Hls;
  #hls;
  #url;
  #measured = false;
  #lacksPlaylist = false;
  #isLive;
  #adviser;
  #advised = NaN;
  #place = -1;

  /**
   * @param {any} Hls The library.
   * @param {HTMLVideoElement} video
   * @param {string} url Of the multivariant playlist.
   * @param {boolean} isLive Somebody publishes it now.
   * @param {import("./adviser.js").Adviser} adviser Whom to ask what to play.
   */
  constructor(Hls, video, url, isLive, adviser) {
    super();
    this.#Hls = Hls;
    this.#url = new URL(url, location.href).href;
    this.#isLive = isLive;
    this.#adviser = adviser;
    const xhrSetup = (request, address) => this.#introduce(request, address);
    this.#hls = new Hls({ backBufferLength: BACK_BUFFER_S, cmcd: CMCD, xhrSetup, ...(isLive && LIVE) });
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

  /** The session by which servers know this player. */
  get viewerId() {
    return this.#hls.sessionId;
  }

  /** What flows now; null where it is not known yet. */
  measure() {
    const shown = this.#hls.currentLevel;
    return {
      rendition: shown < 0 ? null : this.#rendition(shown),
      throughput_bps: this.#measured ? this.#hls.bandwidthEstimate : null,
    };
  }

  /** Where a live stream stands, in the time of the media; null: it is not live, or not any more. */
  get live() {
    const { latestLevelDetails: playlist, liveSyncPosition: sync_s, latency: latency_s, playingDate } = this.#hls;
    if (!this.#isLive || !playlist?.live || sync_s === null) return null;
    const slack_s = SLACK_TARGETS * playlist.targetduration;
    return { start_s: playlist.fragmentStart, sync_s, slack_s, latency_s, date_ms: playingDate?.getTime() ?? null };
  }

  /** The wall clock of a media time, by the program date of its segment; null: not known. */
  dateAt(time_s) {
    const fragments = this.#hls.latestLevelDetails?.fragments ?? [];
    const fragment = fragments.findLast(({ start }) => start <= time_s) ?? fragments[0];
    const begun_ms = fragment?.programDateTime ?? null;
    return begun_ms === null ? null : begun_ms + (time_s - fragment.start) * 1_000;
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
    this.#hls.on(Events.FRAG_LOADED, (_, { frag, part }) => this.#consult(frag, part));
    this.#hls.on(Events.FRAG_LOAD_EMERGENCY_ABORTED, () => (this.#place = -1));
    this.#hls.on(Events.FRAG_BUFFERED, (_, { frag }) => (this.#measured ||= frag.type === "main"));
    this.#hls.on(Events.FRAG_BUFFERED, tell("flow"));
    this.#hls.on(Events.LEVEL_UPDATED, (_, { details }) => this.#readPlaylist(details));
    this.#hls.on(Events.ERROR, (_, data) => this.#err(data));
  }

  /** hls.js begins to say who asks behind the multivariant playlist: without this, a player were two viewers. */
  #introduce(request, address) {
    if (address !== this.#url) return;
    request.open("GET", address, true);
    request.setRequestHeader("CMCD-Session", `sid="${this.viewerId}"`);
  }

  /** Ask once per segment what to load next. In an emergency, and until there is an answer, hls.js decides by itself. */
  async #consult(frag, part) {
    const throughput_bps = this.#throughput(frag, part);
    const isNew = frag.type === "main" && Number.isFinite(frag.sn) && frag.sn !== this.#advised;
    if (!isNew) this.#holdOn(part);
    if (!isNew || !throughput_bps || !this.#hls.autoLevelEnabled) return;
    this.#advised = frag.sn;
    const buffer_s = (this.#hls.mainForwardBufferInfo?.len ?? 0) + (part ?? frag).duration;
    const viewport = viewportOf(this.#hls.media);
    const decision = await this.#adviser.ask({ viewerId: this.viewerId, throughput_bps, buffer_s, viewport });
    this.#place = decision ? placeOf(decision, this.renditions) : -1;
    if (this.#place >= 0) this.#hls.nextAutoLevel = this.#place;
  }

  /** hls.js takes an answer for one load, which is of a part only where there are parts. */
  #holdOn(part) {
    if (part && this.#place >= 0) this.#hls.nextAutoLevel = this.#place;
  }

  /** What is measured; the estimate does not know of the newest segment yet, which may have been slower. NaN: nothing. */
  #throughput({ stats }, part) {
    const estimate_bps = this.#measured ? this.#hls.bandwidthEstimate : Infinity;
    const taken_s = (stats.loading.end - stats.loading.first) / 1_000;
    const newest_bps = !part && taken_s > 0 ? (8 * stats.loaded) / taken_s : Infinity;
    const least_bps = Math.min(estimate_bps, newest_bps);
    return Number.isFinite(least_bps) ? least_bps : NaN;
  }

  /** A playlist that came again is as good as media: when a stream has just ended, no more media follows. */
  #readPlaylist({ live, advanced }) {
    if (this.#isLive && live && !advanced) return;
    if (this.#lacksPlaylist) this.dispatchEvent(new Event("flow"));
    this.#lacksPlaylist = false;
  }

  #err({ type, details, response, fatal }) {
    const isNetwork = type === this.#Hls.ErrorTypes.NETWORK_ERROR;
    if (!fatal && !isNetwork) return; // stalls and the like, which hls.js mends
    if (!fatal && this.#isLive && isStill(details, response)) return; // the page sees that nothing comes
    this.#lacksPlaylist = isNetwork && !details.startsWith("frag");
    const isCodec = ["manifestIncompatibleCodecsError", "bufferAddCodecError"].includes(details);
    const kind = isNetwork ? "network" : isCodec ? "unsupported" : "media";
    const fault = { kind, status: isNetwork ? (response?.code ?? 0) : 0, detail: details };
    this.dispatchEvent(new CustomEvent(fatal ? "fault" : "trouble", { detail: fault }));
  }
}

/** Whether a playlist was awaited in vain because nothing was added to it: rfc8216bis 6.2.5.2. */
function isStill(details, response) {
  return details.endsWith("LoadTimeOut") || (!details.startsWith("frag") && response?.code === SERVICE_UNAVAILABLE);
}
