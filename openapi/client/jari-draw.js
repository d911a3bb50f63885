// Where a draw puts a registration, computed from what is published of it: a browser needs to ask nobody.
// internal/waitingroom/draw.go is the same in Go, and both are held against the same vectors.

const ROUNDS = 10;
const LEAST_WIDTH = 4; // bits that a half has at least
const LABEL = new TextEncoder().encode('jari draw 1');

/**
 * The position of an index among n, all from 0. An index that wasn't among the n keeps its number.
 *
 * It is a Feistel network over two halves, gone through again until it falls below n. Halves have at most 27 bits, which
 * JavaScript's numbers join only up to 2^53: hence BigInt around them.
 *
 * @param {string} seed 64 hexadecimal digits, as the status has them
 * @param {number} n how many are drawn among
 * @param {number} index that of the ticket
 * @param {SubtleCrypto} [subtle] WebCrypto; browsers have it on https and on localhost alone
 * @returns {Promise<number>}
 */
export async function position(seed, n, index, subtle = globalThis.crypto?.subtle) {
  if (!/^[0-9a-f]{64}$/.test(seed) || !count(n) || !count(index)) {
    throw new TypeError('a draw needs a seed of 64 hexadecimal digits, and n and an index that are whole numbers');
  }
  if (index >= n) return index;
  if (!subtle) throw new Error('this page has no WebCrypto: it must be served by https');
  const raw = Uint8Array.from(seed.match(/../g), (digits) => parseInt(digits, 16));
  const key = await subtle.importKey('raw', raw, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const last = BigInt(n) - 1n;
  const bits = last === 0n ? 0 : last.toString(2).length;
  const width = Math.max(LEAST_WIDTH, Math.ceil(bits / 2));
  const mask = 2 ** width - 1;

  // label ‖ n, 8 bytes ‖ round, 1 byte ‖ right half, 8 bytes; numbers begin with their highest byte.
  const message = new Uint8Array(LABEL.length + 17);
  const view = new DataView(message.buffer);
  message.set(LABEL);
  view.setBigUint64(LABEL.length, BigInt(n));

  let x = BigInt(index);
  do {
    let left = Number(x >> BigInt(width));
    let right = Number(x & BigInt(mask));
    for (let round = 0; round < ROUNDS; round++) {
      message[LABEL.length + 8] = round;
      view.setBigUint64(LABEL.length + 9, BigInt(right));
      const sum = new DataView(await subtle.sign('HMAC', key, message));
      // Of the first eight bytes only the lowest 27 bits are ever kept, and those are in the second four.
      [left, right] = [right, (left ^ (sum.getUint32(4) & mask)) >>> 0];
    }
    x = (BigInt(left) << BigInt(width)) | BigInt(right);
  } while (x >= BigInt(n));
  return Number(x);
}

function count(n) {
  return Number.isSafeInteger(n) && n >= 0;
}
