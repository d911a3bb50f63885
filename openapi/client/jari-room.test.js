// Run by `node --test openapi/client`, and by test/client among all other tests.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';

import './node18.mjs';
import { JariRoom, State, position } from './jari-room.js';
import { backoff, interval, pollOf, serverTime } from './jari-poll.js';

const vectors = JSON.parse(await readFile(new URL('../../internal/waitingroom/testdata/draw-vectors.json', import.meta.url), 'utf8'));

test('positions are those of the published vectors', async () => {
  let seen = 0;
  for (const { seed, n, at, positions } of [...vectors.points, ...vectors.orders]) {
    for (const [index, wanted] of at ?? positions.entries()) {
      assert.equal(await position(seed, n, index), wanted, `seed ${seed}, n ${n}, index ${index}`);
      seen++;
    }
  }
  assert.ok(seen > 50, `only ${seen} positions were looked at`);
});

test('a draw is a permutation', async () => {
  for (const n of [1, 2, 17, 300]) {
    const all = new Set();
    for (let i = 0; i < n; i++) all.add(await position('ab'.repeat(32), n, i));
    assert.equal(all.size, n);
    assert.ok([...all].every((p) => p >= 0 && p < n));
  }
  assert.equal(await position('ab'.repeat(32), 10, 10), 10, 'who was not drawn keeps the number');
});

test('what is no draw is refused', async () => {
  for (const [seed, n, index] of [['', 1, 0], ['zz'.repeat(32), 1, 0], ['ab'.repeat(32), -1, 0], ['ab'.repeat(32), 1.5, 0], ['ab'.repeat(32), 5, 2 ** 53]]) {
    await assert.rejects(position(seed, n, index), TypeError);
  }
});

const poll = pollOf({ poll: { min_seconds: 2, max_seconds: 30, jitter: 0.3 } });

test('who is near asks often, who is far rarely, and never all at once', () => {
  const middle = () => 0.5;
  assert.equal(interval(poll, 0, 100, middle), 2);
  assert.equal(interval(poll, 6000, 100, middle), 15);
  assert.equal(interval(poll, 1e6, 100, middle), 30);
  assert.equal(interval(poll, null, 100, middle), 30);
  assert.equal(interval(poll, 0, 100, () => 0), 1.4);
  assert.ok(interval(poll, 1e6, 100, () => 1) > 38);
});

test('a poll that makes no sense is made sane', () => {
  assert.deepEqual(pollOf({ poll: { min_seconds: 0, max_seconds: -1, jitter: 7 } }), { min: 1, max: 1, jitter: 1 });
  assert.deepEqual(pollOf({ poll: { min_seconds: 'x', max_seconds: null } }), { min: 2, max: 30, jitter: 0.3 });
  assert.deepEqual(pollOf(null), poll);
});

test('failures are asked about less and less, never before the server wants', () => {
  const random = () => 0.5;
  assert.deepEqual([1, 2, 3, 4, 5, 9].map((n) => backoff(poll, n, 0, random)), [2, 4, 8, 16, 30, 30]);
  assert.ok(backoff(poll, 1, 20, () => 0) >= 20);
  assert.ok(backoff(poll, 1, 1e9, random) < 1000, 'nobody is sent away for years');
});

test('the time is the answer\'s, with what a cache adds', () => {
  const date = 'Mon, 19 Jul 2021 11:00:00 GMT';
  const at = Date.parse('2021-07-19T20:00:00+09:00');
  assert.equal(serverTime(new Headers({ date })), at + 500);
  assert.equal(serverTime(new Headers({ date, age: '4' })), at + 4500);
  assert.equal(serverTime(new Headers()), null);
});

/** A room whose server and clock are in the test's hands. */
function staged(options = {}) {
  const asked = [];
  let now = 0;
  let timer = null;
  const server = {
    status: { room_id: 'c.r', state: 'open', serving: 0, late_serving: 0, issued: 9, drawn: 0, rate_per_second: 1, grace_seconds: 60, poll: { min_seconds: 2, max_seconds: 30, jitter: 0 } },
    ticket: [200, { room_id: 'c.r', ticket: 't', number: 5 }],
    admission: [409, { code: 'not_your_turn', position: 5, serving: 0, retry_after_seconds: 1 }],
    down: false,
    headers: {},
  };
  const room = new JariRoom({
    room: 'c.r',
    session: () => 'a session',
    env: {
      random: () => 0.5,
      now: () => now,
      setTimeout: (f, ms) => (timer = { f, at: now + ms }),
      clearTimeout: () => (timer = null),
      fetch: async (path, init) => {
        asked.push(`${init.method} ${path}`);
        server.last = init;
        if (server.down) throw new TypeError('failed to fetch');
        if (server.raw) return new Response(server.raw, { status: 200 });
        const [code, body] = init.method === 'GET' ? server.status instanceof Array ? server.status : [200, server.status] : path.endsWith('/ticket') ? server.ticket : server.admission;
        return new Response(JSON.stringify(body), { status: code, headers: server.headers });
      },
      ...options,
    },
  });
  // Until the step has ended, which sets the timer of the next.
  const settle = async () => {
    for (let i = 0; timer === null && i < 10_000; i++) await new Promise((done) => setImmediate(done));
  };
  return {
    room, server, asked,
    state: () => room.snapshot.state,
    waits: () => (timer.at - now) / 1000,
    async start() { room.start(); await settle(); },
    /** Lets the next step happen, when it is due. */
    async next() { const t = timer; now = Math.max(now, t.at); timer = null; t.f(); await settle(); },
    async pass(seconds) { now += seconds * 1000; },
  };
}

test('waits, is called, comes in', async () => {
  const s = staged();
  const states = [];
  s.room.addEventListener('change', (e) => states.push(e.detail.state));
  await s.start();
  assert.equal(s.state(), State.WAITING);
  assert.equal(s.room.snapshot.ahead, 5);
  assert.equal(s.room.snapshot.etaSeconds, 5);
  assert.equal(s.asked.filter((a) => a.endsWith('/admission')).length, 0, 'nobody asks to come in before being called');
  s.server.status.serving = 6;
  s.server.admission = [200, { admission: 'in', expires_at: '2021-07-19T20:30:00+09:00', expires_in_seconds: 100 }];
  await s.next();
  assert.equal(s.state(), State.ADMITTED);
  assert.equal(s.room.admission, 'in');
  assert.equal(s.room.snapshot.expiresInSeconds, 100);
  assert.deepEqual(states, [State.WAITING, State.ADMITTED]);
});

test('the highest serving number counts', async () => {
  const s = staged();
  s.server.status.serving = 3;
  await s.start();
  s.server.status.serving = 1; // another cache, a little older
  await s.next();
  assert.equal(s.room.snapshot.serving, 3);
  assert.equal(s.room.snapshot.ahead, 2);
});

for (const [name, break_] of Object.entries({
  'airplane mode': (s) => { s.down = true; },
  'a portal that answers everything': (s) => { s.raw = '<html>Welcome</html>'; },
  'a portal that answers with JSON': (s) => { s.raw = '{"admission":1,"state":"open","room_id":"c.r"}'; },
  'a status of another room': (s) => { s.status.room_id = 'c.other'; s.status.serving = 100; },
  'a state that nobody knows': (s) => { s.status.state = 'everybody in'; s.status.serving = 100; },
  'a serving number that is none': (s) => { s.status.serving = Infinity; },
  'a server that fails': (s) => { s.status = [500, { code: 'internal' }]; },
  'an overloaded server': (s) => { s.status = [503, { code: 'overloaded' }]; s.headers = { 'Retry-After': '20' }; },
})) {
  test(`${name} means waiting, and the place is kept`, async () => {
    const s = staged();
    await s.start();
    break_(s.server);
    for (let i = 0; i < 8; i++) {
      await s.next();
      assert.equal(s.state(), State.WAITING);
      assert.equal(s.room.snapshot.connected, false);
      assert.ok(s.waits() <= 31);
    }
    assert.ok(s.waits() >= 20, 'it asks less often while nothing answers');
    assert.equal(s.asked.filter((a) => a.endsWith('/admission')).length, 0);
  });
}

test('an admission that fails is asked for again, and nobody is in before', async () => {
  const s = staged();
  s.server.status.serving = 6;
  for (const refusal of [[500, { code: 'internal' }], [503, { code: 'store_unavailable' }], [200, {}], [200, { admission: 'x' }], [429, { code: 'too_many_requests' }]]) {
    s.server.admission = refusal;
    s.asked.length === 0 ? await s.start() : await s.next();
    assert.equal(s.state(), State.CALLED);
    assert.equal(s.room.admission, '');
  }
  s.server.admission = [200, { admission: 'in', expires_in_seconds: 100 }];
  await s.next();
  assert.equal(s.state(), State.ADMITTED);
});

test('an instance that is behind says not yet, and is asked again when it wants to be', async () => {
  const s = staged();
  s.server.status.serving = 6;
  s.server.headers = { 'Retry-After': '7' };
  await s.start();
  assert.equal(s.state(), State.CALLED);
  assert.ok(s.waits() >= 7);
});

test('looking at the page again and again asks to come in no sooner', async () => {
  const listeners = {};
  const target = { addEventListener: (n, f) => (listeners[n] = f), removeEventListener: () => {} };
  const s = staged({ window: target });
  s.server.status.serving = 6;
  s.server.headers = { 'Retry-After': '60' };
  await s.start();
  for (let i = 0; i < 10; i++) {
    listeners.pageshow();
    await s.next();
  }
  assert.equal(s.asked.filter((a) => a.endsWith('/admission')).length, 1);
  assert.equal(s.asked.filter((a) => a.endsWith('/status')).length, 11);
});

test('who missed the turn is in the late lane until that calls', async () => {
  const s = staged();
  s.server.status.serving = 6;
  s.server.admission = [409, { code: 'not_your_turn', position: 4, serving: 2, late: true }];
  await s.start();
  assert.equal(s.state(), State.LATE);
  assert.equal(s.room.snapshot.ahead, 2);
  const claims = s.asked.filter((a) => a.endsWith('/admission')).length;
  await s.next();
  assert.equal(s.asked.filter((a) => a.endsWith('/admission')).length, claims, 'it waits to be called');
  s.server.status.late_serving = 5;
  s.server.admission = [200, { admission: 'in', expires_in_seconds: 100 }];
  await s.next();
  assert.equal(s.state(), State.ADMITTED);
});

test('an admission is renewed by use and ends without', async () => {
  const s = staged();
  s.server.status.serving = 6;
  s.server.admission = [200, { admission: 'in', expires_in_seconds: 100 }];
  await s.start();
  s.room.touch();
  await s.pass(60);
  s.server.admission = [200, { admission: 'again', expires_in_seconds: 100 }];
  await s.next();
  assert.equal(s.room.admission, 'again');
  while (s.state() === State.ADMITTED) await s.next();
  assert.equal(s.state(), State.ENDED);
  const claims = s.asked.filter((a) => a.endsWith('/admission')).length;
  await s.next();
  assert.equal(s.asked.filter((a) => a.endsWith('/admission')).length, claims, 'nobody is brought back who left');
  s.room.claim();
  await s.next();
  assert.equal(s.state(), State.ADMITTED);
});

test('whoever signs in again has their place', async () => {
  const s = staged();
  s.server.ticket = [401, { code: 'session_expired' }];
  await s.start();
  assert.equal(s.state(), State.SIGN_IN);
  await s.next();
  assert.equal(s.asked.filter((a) => a.startsWith('PUT')).length, 1, 'without a session nothing personal is asked');
  s.server.ticket = [200, { ticket: 't', number: 5 }];
  s.room.again();
  await s.next();
  assert.equal(s.state(), State.WAITING);
});

test('who is not eligible is told so, and asks no more', async () => {
  const s = staged();
  s.server.ticket = [403, { code: 'not_eligible' }];
  await s.start();
  await s.next();
  assert.equal(s.state(), State.NOT_ELIGIBLE);
  assert.equal(s.asked.filter((a) => a.startsWith('PUT')).length, 1);
});

test('a ticket that is not taken any more is asked for again', async () => {
  const s = staged();
  s.server.status.serving = 6;
  s.server.admission = [409, { code: 'place_required' }];
  await s.start();
  await s.next();
  assert.equal(s.asked.filter((a) => a.endsWith('/ticket')).length, 2);
});

test('the draw is computed here, and the room before it waited for by the server\'s clock', async () => {
  const s = staged();
  s.server.headers = { Date: 'Mon, 19 Jul 2021 10:59:50 GMT' };
  Object.assign(s.server.status, { state: 'drawing', drawn: 300, opens_at: '2021-07-19T20:00:00+09:00', rate_per_second: 0 });
  s.server.ticket = [200, { ticket: 't', index: 7, nonce: '00' }];
  await s.start();
  assert.equal(s.state(), State.REGISTERED);
  s.server.status.seed = 'ab'.repeat(32);
  await s.next();
  assert.equal(s.room.snapshot.position, await position('ab'.repeat(32), 300, 7));
  assert.ok(s.waits() > 8 && s.waits() < 12, `waits ${s.waits()} s, and it opens in 9.5`);
});

test('without WebCrypto the server says the position', async () => {
  const s = staged({ subtle: undefined });
  Object.assign(s.server.status, { drawn: 300, seed: 'ab'.repeat(32) });
  s.server.ticket = [200, { ticket: 't', index: 7, nonce: '00' }];
  await s.start();
  assert.equal(s.state(), State.WAITING);
  assert.equal(s.room.snapshot.position, 5);
});

test('a page that is looked at again asks at once, and not again and again', async () => {
  const listeners = {};
  const target = { addEventListener: (n, f) => (listeners[n] = f), removeEventListener: (n) => delete listeners[n] };
  const s = staged({ document: { ...target, visibilityState: 'visible' }, window: target });
  s.server.status.rate_per_second = 0.001;
  await s.start();
  assert.ok(s.waits() > 20);
  listeners.visibilitychange();
  assert.equal(s.waits(), 2);
  await s.pass(10);
  for (let i = 0; i < 5; i++) listeners.online();
  assert.equal(s.waits(), 0);
  await s.next();
  listeners.pageshow();
  assert.equal(s.waits(), 2);
  s.room.stop();
  assert.deepEqual(Object.keys(listeners), []);
});

test('a room without a line is entered by asking the server', async () => {
  const s = staged();
  s.server.status = [404, { code: 'room_not_found' }];
  s.server.admission = [200, { admission: 'in', expires_in_seconds: 100 }];
  await s.start();
  assert.equal(s.state(), State.ADMITTED);
});

test('it speaks two languages, and not too often', async () => {
  const s = staged();
  const said = [];
  s.room.addEventListener('announce', (e) => said.push(e.detail));
  s.server.ticket = [200, { ticket: 't', number: 500 }];
  await s.start();
  for (let i = 0; i < 20; i++) {
    s.server.status.serving += 20;
    await s.next();
  }
  assert.ok(said.length >= 2 && said.length <= 5, `${said.length} announcements`);
  assert.match(said[0].ko, /앞에 500명이 있습니다. 약 9분/);
  assert.match(said[0].en, /500 people are ahead of you. About 9 minutes/);
  s.server.down = true;
  await s.next();
  assert.match(said.at(-1).en, /Your place is kept/);
});

test('only the personal requests carry who one is', async () => {
  const s = staged();
  await s.start();
  assert.equal(s.server.last.method, 'PUT');
  assert.equal(s.server.last.headers.Authorization, 'Bearer a session');
  assert.equal(s.server.last.credentials, 'include');
  await s.next();
  assert.equal(s.server.last.method, 'GET');
  assert.equal(s.server.last.headers.Authorization, undefined);
  assert.equal(s.server.last.credentials, 'omit');
  assert.equal(s.server.last.redirect, 'error');
});
