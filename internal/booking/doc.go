// Package booking makes a hold durable (step 5): confirm, cancel, look up. Postgres is the truth about a booking; Redis
// only ever proposes.
//
// A token that was validly signed is refused only by a row: whoever first writes a hold id decides it. That is what makes
// a "no" final whatever else is in flight, and a retry the same answer.
//
// The package never judges a person again who was judged when the hold was placed, and never sends a message: it leaves
// a note, in the same transaction, of which the messages are made.
package booking
