// What browsers have and Node 18 (Debian 12) has under another name or not at all. For tests alone.
import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto;
globalThis.CustomEvent ??= class extends Event {
  constructor(name, init) {
    super(name, init);
    this.detail = init?.detail ?? null;
  }
};
