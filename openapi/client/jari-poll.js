// When to ask again. What is decided here is only how soon somebody hears; whether they may come in is the server's.

/** What is polled by until a status says otherwise. */
export const POLL = Object.freeze({ min_seconds: 2, max_seconds: 30, jitter: 0.3 });

/** How many are taken to be called a second while the room hasn't measured it yet. */
const UNMEASURED = 10;

/** Nobody trusts a document blindly: these bound what a wrong one could do to a page, or pages to a server. */
const bounds = { least: 1, most: 600 };

/** The poll of a status, made sane. */
export function pollOf(status) {
  const p = status?.poll ?? POLL;
  const min = within(p.min_seconds, POLL.min_seconds, bounds.least, bounds.most);
  return {
    min,
    max: Math.max(min, within(p.max_seconds, POLL.max_seconds, bounds.least, bounds.most)),
    jitter: within(p.jitter, POLL.jitter, 0, 1),
  };
}

function within(value, otherwise, least, most) {
  return Number.isFinite(value) ? Math.min(most, Math.max(least, value)) : otherwise;
}

/**
 * How many seconds it takes until a position is called, as far as can be told; null where it can't.
 *
 * @param {number} ahead how many are called before
 * @param {number} rate how many are called a second
 */
export function eta(ahead, rate) {
  return rate > 0 ? ahead / rate : null;
}

/**
 * How many seconds to wait before asking for the status again: a fourth of what is left, between min and max, each time
 * off by up to the share jitter, so that people who came together don't ask together.
 *
 * @param {{min: number, max: number, jitter: number}} poll
 * @param {number|null} ahead how many are called before; null if nobody knows yet
 * @param {number} rate how many are called a second
 * @param {() => number} random from 0 to 1
 */
export function interval(poll, ahead, rate, random) {
  const left = ahead === null ? Infinity : ahead / (rate > 0 ? rate : UNMEASURED);
  return spread(Math.min(poll.max, Math.max(poll.min, left / 4)), poll.jitter, random);
}

/** Off by up to a share, either way. */
function spread(seconds, share, random) {
  return seconds * (1 + share * (2 * random() - 1));
}

/**
 * How many seconds to wait after n failures in a row: longer each time, never less than the server asked for.
 *
 * @param {{min: number, max: number, jitter: number}} poll
 * @param {number} failures from 1
 * @param {number} retryAfter seconds; 0 if the server didn't say
 * @param {() => number} random from 0 to 1
 */
export function backoff(poll, failures, retryAfter, random) {
  const wait = Math.min(poll.max, poll.min * 2 ** Math.min(failures - 1, 10));
  return Math.max(spread(wait, poll.jitter, random), Math.min(bounds.most, retryAfter) * (1 + poll.jitter * random()));
}

/**
 * The server's time, from an answer's Date and Age: the clock of the device is asked for nothing, since it may be wrong.
 * Age is what a cache adds. Date has whole seconds, so half of one is added.
 *
 * @param {Headers} headers
 * @returns {number|null} milliseconds since 1970, at the answer; null if it doesn't say
 */
export function serverTime(headers) {
  const date = Date.parse(headers.get('date') ?? '');
  const age = Number(headers.get('age') ?? 0);
  return Number.isFinite(date) ? date + 500 + (Number.isFinite(age) && age > 0 ? age * 1000 : 0) : null;
}
