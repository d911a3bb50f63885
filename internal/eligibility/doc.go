// Package eligibility decides who may book, when, and for which days. It is step 3 of a request's way and pure: no
// store, no clock, no context, no header. A decision is a function of the compiled rules, the facts about a person and
// an instant that the caller hands in (the server's clock, never a browser's).
//
// # Vocabulary
//
// A RuleSet is the compiled rules of one published version. It has waves; a Wave says who (a Rule), when (opens_at
// inclusive, closes_at exclusive) and for which slot days (both inclusive). Facts are what is known about a person:
// every fact but the birth date may be unknown, and unknown isn't none.
//
// # Three values
//
// An Answer is yes, no or depends, by Kleene's logic: all is the least of its parts, any the greatest, and not turns yes
// and no around and leaves depends. A decision that depends names the facts it depends on.
//
// # Days
//
// The day of asking is the date of the instant in the campaign's zone. A wave whose window outlives its last slot day
// ends with that day: there would be nothing left to book. Decide asks for some slot day of the wave that isn't before
// the day of asking; DecideSlot and DecideMove ask for one slot day.
//
// # Rooms
//
//	rule.go       the tree and its strict JSON
//	ruleset.go    what a campaign hands in, checked and compiled
//	facts.go      what is known about a person
//	decide.go     the questions and the evaluator
//	next.go       the first instant at which a refused person can book
//	reason.go     stable codes with operands
//	explain.go    a decision as sentences, Korean and English
//	enumerate.go  every birth date at every boundary, before publishing
//	check.go      warnings, differences, head counts, cases
//
// The suite's own proof is testdata/seeded-bugs.json: bugs that it has to catch, each with the test that then fails.
package eligibility
