/** A call that did not succeed, with a message that can be shown as it is. */

const BY_STATUS = new Map([
  [401, "The server wants to know who asks: sign in first."],
  [403, "The server does not allow this."],
  [404, "The server does not know this."],
  [413, "This is larger than the server takes."],
  [429, "The server is busy. Try again in a moment."],
  [502, "A service behind the server is away."],
  [503, "A service behind the server is away."],
  [504, "The server took too long to answer."],
]);

/** HTTP 0 stands for no answer; gRPC 10, ABORTED, for somebody else who was at the same thing. */
const PASSING_STATUSES = [0, 429, 502, 503, 504];
const ABORTED = 10;

const UNREACHABLE = "The server cannot be reached.";

export class Fault extends Error {
  /**
   * @param {string} message In words, for people.
   * @param {{status?: number, code?: number, field?: string}} [facts] HTTP status (0: there was no answer), gRPC's code,
   *   and the field of the request that is to blame.
   */
  constructor(message, { status = 0, code = 0, field = "" } = {}) {
    super(message);
    this.name = "Fault";
    this.status = status;
    this.code = code;
    this.field = field;
  }

  /** True: the same call may succeed a little later. */
  get mayPass() {
    return PASSING_STATUSES.includes(this.status) || this.code === ABORTED;
  }

  get isMissing() {
    return this.status === 404;
  }
}

/** The fault of a call that got no answer at all. */
export function unreachable(message = UNREACHABLE) {
  return new Fault(message);
}

/**
 * Read a fault from an answer: google.rpc.Status in JSON, or, from something in between, anything else.
 * @param {number} status
 * @param {string} body
 */
export function faultOf(status, body) {
  const answer = parsed(body);
  const message = answer?.message || BY_STATUS.get(status) || `The server answered with status ${status}.`;
  return new Fault(message, { status, code: answer?.code, field: fieldOf(answer) });
}

function fieldOf(answer) {
  return answer?.details?.find(({ metadata }) => metadata?.field)?.metadata.field ?? "";
}

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
