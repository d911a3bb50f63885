// A place in a waiting room, for the pages of a citizen frontend. No build, no dependency, no DOM: it asks, and tells by
// events what has become of the place. README.md beside it has the rules that it keeps.
//
// It decides nothing. Whoever changes this script, its state or the device's clock changes what their own screen says:
// the server checks the session, the place and the admission of every request that gives something away.

import { position } from './jari-draw.js';
import { backoff, eta, interval, pollOf, serverTime } from './jari-poll.js';
import { words } from './jari-words.js';

export { position, words };

/** What a person's place is doing. Whatever isn't known is waiting, never entering. */
export const State = Object.freeze({
  CONNECTING: 'connecting', // nothing was heard yet
  SIGN_IN: 'sign_in', // the server knows no session: verify, then again()
  NOT_ELIGIBLE: 'not_eligible', // no wave of this opening admits the person
  NOT_YET: 'not_yet', // no places are given yet
  REGISTERED: 'registered', // in the draw, which isn't made yet
  WAITING: 'waiting', // has a position that isn't called yet
  CALLED: 'called', // it is; the admission is being asked for
  LATE: 'late', // was called and didn't come in time: in the lane of those
  ADMITTED: 'admitted',
  ENDED: 'ended', // the admission has run out: claim() comes back
  CLOSED: 'closed', // the room is over
});

const ROOM_STATES = ['scheduled', 'registration', 'drawing', 'open', 'paused', 'closed'];
/** Where places are given. */
const GIVING = ['registration', 'drawing', 'open', 'paused'];
/** How long one request may take, in milliseconds. */
const PATIENCE = 15_000;
/** How far apart, in seconds, people who wait for the same instant ask. */
const SPREAD = 2;
/** Below how many seconds to go somebody is told again. */
const MILESTONES = [3600, 1800, 900, 300, 60];

/**
 * @typedef {object} Options
 * @property {string} room the room's id, as GET /v1/me names it
 * @property {string} [base] where the API is; empty for the page's own origin
 * @property {() => string} [session] a session's token, for clients without cookies
 * @property {object} [env] what tests put in the place of fetch, random, now, setTimeout, clearTimeout, subtle, document, window
 */

/**
 * A person's place in one room. Events: `change` with a snapshot in `detail`, whenever something in it has changed, and
 * `announce` with words in two languages, seldom enough for a screen reader (aria-live="polite").
 */
export class JariRoom extends EventTarget {
  #path;
  #base;
  #session;
  #env;

  #running = false;
  #busy = false;
  #timer = null;
  #looked = -Infinity; // when the status was last asked for

  #status = null;
  #serving = 0; // the highest that was seen; so is the next
  #lateServing = 0;
  #noLine = false; // the server says that this room has none
  #clock = null; // the server's time at an instant of ours
  #failures = 0;
  #retryAfter = 0;

  #ticket = null;
  #position = null;
  #drawnWith = ''; // what the position was computed from
  #late = null; // the number in the late lane
  #stop = null; // a state that only the person can change
  #asked = false; // claim() was called
  #claimAt = 0; // not before, by our clock

  #admission = null; // {token, until, half}, by our clock
  #ended = false;
  #touched = false;

  #shown = '';
  #told = { state: '', milestone: Infinity };

  /** @param {Options} options */
  constructor({ room, base = '', session = () => '', env = {} }) {
    super();
    if (!/^[A-Za-z0-9_.-]+$/.test(room)) throw new TypeError('a room has an id, such as campaign.evening');
    this.#path = `/v1/rooms/${room}`;
    this.#base = base;
    this.#session = session;
    const g = globalThis;
    this.#env = {
      fetch: (...a) => g.fetch(...a), random: Math.random, now: () => performance.now(), subtle: g.crypto?.subtle,
      setTimeout: (f, ms) => g.setTimeout(f, ms), clearTimeout: (t) => g.clearTimeout(t), document: g.document, window: g.window,
      ...env,
    };
  }

  /** Begins. The place is the person's, so after a reload this finds the same one. */
  start() {
    if (this.#running) return;
    this.#running = true;
    this.#env.document?.addEventListener('visibilitychange', this.#back);
    for (const name of ['online', 'pageshow']) this.#env.window?.addEventListener(name, this.#back);
    this.#step();
  }

  /** Stops asking. Nothing is lost by it. */
  stop() {
    this.#running = false;
    this.#env.clearTimeout(this.#timer);
    this.#env.document?.removeEventListener('visibilitychange', this.#back);
    for (const name of ['online', 'pageshow']) this.#env.window?.removeEventListener(name, this.#back);
  }

  /** To be called when the person has signed in, or another has: forgets what was found out about who asked before. */
  again() {
    [this.#stop, this.#ticket, this.#position, this.#late, this.#admission] = [null, null, null, null, null];
    [this.#drawnWith, this.#ended, this.#claimAt] = ['', false, 0];
    this.#soon();
  }

  /** Asks to come in again, after an admission has ended or a room is over. Otherwise it changes nothing. */
  claim() {
    if (!this.#ended && this.#status?.state !== 'closed') return;
    [this.#asked, this.#claimAt] = [true, 0];
    this.#soon();
  }

  /** To be called when the person does something inside: an admission is renewed by use, up to a maximum. */
  touch() {
    this.#touched = true;
  }

  /** The admission, for clients that send it as the header Jari-Admission; browsers have it in a cookie. */
  get admission() {
    return this.#admission?.token ?? '';
  }

  /** What is known now, as events carry it. */
  get snapshot() {
    const s = this.#status;
    const [place, serving] = this.#late === null ? [this.#position, this.#serving] : [this.#late, this.#lateServing];
    const ahead = place === null ? null : Math.max(0, place - serving);
    const state = this.#state();
    const waits = state === State.WAITING || state === State.LATE;
    const left = waits && this.#late === null && s?.state === 'open' ? eta(ahead, s.rate_per_second) : null;
    const snapshot = {
      state, roomState: s?.state ?? null, connected: this.#failures === 0, paused: s?.state === 'paused',
      position: this.#position, ahead: waits ? ahead : null, serving: this.#serving, etaSeconds: left,
      opensAt: s?.opens_at ?? null, opensInSeconds: positive(this.#until(s?.opens_at)),
      expiresInSeconds: this.#admission ? positive((this.#admission.until - this.#env.now()) / 1000) : null,
      message: s?.message ?? null,
    };
    snapshot.words = words(snapshot);
    return snapshot;
  }

  #state() {
    if (this.#stop) return this.#stop;
    if (this.#admission) return State.ADMITTED;
    if (this.#ended && this.#late === null) return State.ENDED;
    if (this.#status?.state === 'closed') return State.CLOSED;
    if (this.#late !== null) return this.#late < this.#lateServing ? State.CALLED : State.LATE;
    if (this.#position !== null) return this.#position < this.#serving ? State.CALLED : State.WAITING;
    if (this.#ticket) return State.REGISTERED;
    return this.#status?.state === 'scheduled' ? State.NOT_YET : State.CONNECTING;
  }

  /** The seconds until an instant, by the server's clock; below 0 if it is over, null if it isn't known. */
  #until(instant) {
    const at = Date.parse(instant ?? '');
    if (!this.#clock || !Number.isFinite(at)) return null;
    return (at - this.#clock.server - (this.#env.now() - this.#clock.ours)) / 1000;
  }

  // When the page is seen again, or the network is back. Not sooner than the room allows, however often that happens.
  #back = () => {
    if (this.#env.document?.visibilityState !== 'hidden') this.#soon();
  };

  #soon() {
    if (!this.#running || this.#busy) return;
    const wait = Math.max(0, this.#looked + pollOf(this.#status).min * 1000 - this.#env.now());
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(() => this.#step(), wait);
  }

  async #step() {
    if (!this.#running || this.#busy) return;
    this.#busy = true;
    try {
      await this.#look();
      await this.#placed();
      await this.#draw();
      await this.#come();
    } catch {
      this.#failures++; // whatever it was: the place is where it was, and the next step asks again
    }
    this.#busy = false;
    this.#tell();
    if (this.#running) this.#timer = this.#env.setTimeout(() => this.#step(), 1000 * this.#wait());
  }

  #wait() {
    const { random, now } = this.#env;
    const poll = pollOf(this.#status);
    if (this.#failures > 0) return backoff(poll, this.#failures, this.#retryAfter, random);
    if (this.#admission) {
      const due = this.#touched && now() < this.#admission.half ? this.#admission.half : this.#admission.until;
      return Math.max(1, Math.min(poll.max, (due - now()) / 1000));
    }
    const state = this.#state();
    const s = this.#status;
    const ahead = s?.state === 'open' || s?.state === 'paused' ? this.snapshot.ahead : null; // nobody is called before
    // What was announced is looked for when it comes, and not by all at once; what is due may be seen at any moment.
    const left = this.#until({ scheduled: s?.registration_opens_at ?? s?.opens_at, drawing: s?.opens_at }[s?.state]);
    const placeless = !this.#ticket && GIVING.includes(s?.state);
    const soon = !this.#stop && (state === State.CALLED || placeless || (left !== null && left <= 0));
    let wait = interval(poll, soon ? 0 : ahead, this.#late === null ? s?.rate_per_second ?? 0 : 0, random);
    if (left > 0) wait = Math.min(wait, left + SPREAD * random());
    if (this.#claimAt > now() && state === State.CALLED) wait = Math.max(wait, (this.#claimAt - now()) / 1000);
    return Math.max(wait, poll.min * (1 - poll.jitter));
  }

  /** One request. Anything but an answer of the API counts as none: a portal's page, a redirect, a broken line. */
  async #ask(method, path, body) {
    const headers = { Accept: 'application/json' };
    const personal = method !== 'GET';
    if (personal && this.#session()) headers.Authorization = `Bearer ${this.#session()}`;
    if (personal && this.#session() && this.#admission) headers['Jari-Admission'] = this.#admission.token;
    if (body) headers['Content-Type'] = 'application/json';
    const answer = await this.#env.fetch(this.#base + this.#path + path, {
      method, headers, body: body ? JSON.stringify(body) : undefined, credentials: personal ? 'include' : 'omit',
      cache: 'no-cache', redirect: 'error', signal: AbortSignal.timeout(PATIENCE),
    });
    const retryAfter = Number(answer.headers.get('retry-after') ?? 0);
    this.#retryAfter = Number.isFinite(retryAfter) ? Math.max(0, retryAfter) : 0;
    const data = await answer.json();
    if (typeof data !== 'object' || data === null) throw new Error('not an answer of the API');
    return { status: answer.status, data, headers: answer.headers };
  }

  async #look() {
    this.#looked = this.#env.now();
    const { status, data, headers } = await this.#ask('GET', '/status');
    if (status === 404 && data.code === 'room_not_found') {
      this.#noLine = true; // only the server lets anybody in there, too
      this.#failures = 0;
      return;
    }
    const known = status === 200 && this.#path.endsWith(`/${data.room_id}`) && ROOM_STATES.includes(data.state) &&
      whole(data.serving) && whole(data.late_serving) && whole(data.drawn);
    if (!known) throw new Error('not a status');
    this.#failures = 0;
    this.#noLine = false;
    this.#status = data;
    // Two instances, or two caches, may be apart by a second; nobody's turn is ever taken back.
    this.#serving = Math.max(this.#serving, data.serving);
    this.#lateServing = Math.max(this.#lateServing, data.late_serving);
    const server = serverTime(headers);
    if (server !== null) this.#clock = { server, ours: this.#env.now() };
  }

  /** Has the place that the person has, or takes one. */
  async #placed() {
    if (this.#ticket || this.#admission || this.#stop || this.#noLine || !GIVING.includes(this.#status?.state)) return;
    const { status, data } = await this.#ask('PUT', '/ticket');
    if (status === 200 && typeof data.ticket === 'string' && (whole(data.index) || whole(data.number))) this.#ticket = data;
    else if (status === 409 && data.code === 'room_not_open') return;
    else this.#refused(status, data);
  }

  /** Computes the position, once what decides it is published. */
  async #draw() {
    if (!this.#ticket) return;
    const { drawn, seed } = this.#status;
    if (this.#position === null && whole(this.#ticket.number) && !['scheduled', 'registration'].includes(this.#status.state)) {
      this.#position = drawn + this.#ticket.number;
    }
    if (!whole(this.#ticket.index) || !seed || this.#drawnWith === seed || !this.#env.subtle) return;
    this.#position = await position(seed, drawn, this.#ticket.index, this.#env.subtle);
    this.#drawnWith = seed;
  }

  /** Comes in when called, renews what is used, and comes back when asked to. */
  async #come() {
    const now = this.#env.now();
    if (this.#admission) {
      if (now >= this.#admission.until) [this.#admission, this.#ended] = [null, !this.#touched];
      else if (!this.#touched || now < this.#admission.half) return;
    }
    // Without WebCrypto nobody can compute; then the server says the position with its refusal, and how soon to ask again.
    const blind = !this.#env.subtle && this.#ticket && this.#position === null && Boolean(this.#status.seed);
    const called = this.#noLine || blind || this.#state() === State.CALLED;
    if (this.#stop || now < this.#claimAt || !(this.#admission || this.#asked || (called && !this.#ended))) return;
    const { status, data } = await this.#ask('PUT', '/admission', this.#ticket ? { ticket: this.#ticket.ticket } : {});
    if (status === 200 && typeof data.admission === 'string' && data.expires_in_seconds > 0) {
      const lasts = data.expires_in_seconds * 1000;
      this.#admission = { token: data.admission, until: now + lasts, half: now + lasts / 2 };
      [this.#asked, this.#touched, this.#ended, this.#late] = [false, false, false, null];
    } else if (status === 409 && data.code === 'not_your_turn') {
      this.#asked = false;
      if (data.late && whole(data.position)) {
        this.#ended = false;
        this.#late = data.position;
        this.#lateServing = Math.max(this.#lateServing, whole(data.serving) ? data.serving : 0);
      } else if (whole(data.position)) this.#position = data.position; // the server's word is the one that counts
      // An instance that is a little behind says so, too: soon again, but not at once.
      this.#claimAt = now + 1000 * this.#retryAfter * (1 + this.#env.random() * pollOf(this.#status).jitter);
    } else if (['ticket_invalid', 'ticket_of_another', 'place_required'].includes(data.code)) {
      [this.#ticket, this.#position, this.#drawnWith, this.#claimAt] = [null, null, '', now + 1000];
    } else this.#refused(status, data);
  }

  #refused(status, data) {
    if (status === 401) this.#stop = State.SIGN_IN;
    else if (status === 403 && data.code === 'not_eligible') this.#stop = State.NOT_ELIGIBLE;
    else if (status === 410 && data.code === 'room_closed') this.#status = { ...this.#status, state: 'closed' };
    else throw new Error(`answered ${status}`);
  }

  #tell() {
    const s = this.snapshot;
    const text = JSON.stringify({ ...s, opensInSeconds: null, expiresInSeconds: null });
    if (text === this.#shown) return;
    this.#shown = text;
    this.dispatchEvent(new CustomEvent('change', { detail: s }));
    const milestone = s.etaSeconds === null ? Infinity : Math.min(Infinity, ...MILESTONES.filter((m) => s.etaSeconds <= m));
    const key = `${s.state} ${s.connected} ${s.paused}`;
    if (key === this.#told.state && milestone >= this.#told.milestone) return;
    this.#told = { state: key, milestone };
    this.dispatchEvent(new CustomEvent('announce', { detail: s.words }));
  }
}

function positive(seconds) {
  return seconds === null ? null : Math.max(0, Math.ceil(seconds));
}

function whole(n) {
  return Number.isSafeInteger(n) && n >= 0;
}
