/** Figures as people read them. Pure. */

const MINUTE_S = 60;
const HOUR_S = 3_600;
const DAY_S = 86_400;

/** 12_400_000 -> "12.4 MB". Decimal units, as disks and networks are sold. */
export function bytes(count) {
  return scaled(count, ["B", "kB", "MB", "GB", "TB"]).join(" ");
}

/** 2_050_000 -> ["2.1", "Mbit/s"]. */
export function bitrate(bps) {
  return scaled(bps, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
}

/** 75.4 -> "1:15"; 3_671 -> "1:01:11". */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / MINUTE_S) % 60, whole % 60];
  if (whole >= HOUR_S) parts.unshift(Math.floor(whole / HOUR_S));
  return parts.map((part, at) => (at ? String(part).padStart(2, "0") : part)).join(":");
}

/** How long something will take, no finer than anyone can know: 4.2 -> "5 s", 95 -> "1 min 35 s", 4_000 -> "1 h 7 min". */
export function span(seconds) {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < MINUTE_S) return `${whole} s`;
  if (whole < HOUR_S) return pair(whole, MINUTE_S, "min", 1, "s");
  return pair(whole, HOUR_S, "h", MINUTE_S, "min");
}

/** 43.6 -> "43 %": a percentage is rounded down, for 100 % means done. */
export function percent(share) {
  return `${Math.floor(share)} %`;
}

/** 1.184 -> "1.2×". */
export function ratio(value) {
  return `${value.toFixed(value < 10 ? 1 : 0)}×`;
}

/** 29.97002 -> "29.97 fps"; 30 -> "30 fps". */
export function frameRate(rate) {
  return `${Number(rate.toFixed(2))} fps`;
}

/** An instant, as seen from `now_ms`: "just now", "5 minutes ago", "21 November 2026". */
export function ago(instant_ms, now_ms) {
  const seconds = (now_ms - instant_ms) / 1_000;
  if (seconds < 45) return "just now";
  if (seconds < 2 * DAY_S) return relative(seconds);
  return new Date(instant_ms).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
}

/** An instant of today, to the second: "21:04:11". */
export function timeOfDay(instant_ms) {
  return new Date(instant_ms).toLocaleTimeString("en-GB");
}

function relative(seconds) {
  const format = new Intl.RelativeTimeFormat("en", { numeric: "always" });
  if (seconds < HOUR_S) return format.format(-Math.max(1, Math.round(seconds / MINUTE_S)), "minute");
  return format.format(-Math.round(seconds / HOUR_S), "hour");
}

function scaled(value, units) {
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  const figure = value / 1_000 ** step;
  return [figure.toFixed(step > 0 && figure < 99.95 ? 1 : 0), units[step]];
}

function pair(whole, big_s, bigUnit, small_s, smallUnit) {
  const rest = Math.floor((whole % big_s) / small_s);
  return `${Math.floor(whole / big_s)} ${bigUnit}${rest ? ` ${rest} ${smallUnit}` : ""}`;
}
