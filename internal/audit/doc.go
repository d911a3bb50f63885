// Package audit remembers what administrators did and whose data they looked at: who, when, from where, what, about whom
// and why. An entry is written in the transaction of the act, so neither is there without the other.
//
// Entries are chained: each has a number and a hash that covers the hash before it, so an entry that was changed, deleted,
// inserted or swapped is found by Verify. What Verify can't find is that somebody with the database's password wrote the
// whole chain anew, or cut off its end; against that the head, a number and a hash, is kept outside: it is a metric, it is
// logged each hour, and `jari audit head` prints it for whoever keeps it on paper.
//
// The act doesn't wait for the chain. Numbers in the act's own transaction would make all acts wait for each other's
// commits; instead one instance gives committed entries their places, twice a second.
//
// An entry holds no personal data: people are named by their random ids, and details are counts, ids and states. Entries
// are kept for two years at least: nothing in Jari deletes one, and Postgres refuses to update or delete them to whoever
// can't take away the trigger.
package audit
