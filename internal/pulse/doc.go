// Package pulse counts what happens now and who came how far: each step of the way in requests and in people, over all
// instances together. It stands beside the way and decides nothing: counting costs a request two additions and a hash, waits
// for no store, and what can't be counted is lost without anybody noticing. Nothing that it keeps leads back to a person.
package pulse
