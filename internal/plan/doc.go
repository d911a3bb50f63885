// Package plan keeps bulk changes between being tried and being done. Whoever wants one is first shown what it would do, in
// numbers and rows; applying does exactly that, or nothing when the ground has moved meanwhile.
//
// A domain that changes things in bulk registers a Kind. It computes what would happen inside Make, keeps what it needs in
// the plan's payload or in rows of its own with the plan's id, and does it when Apply asks. The package knows what a plan is,
// who made it and when it ends, and nothing of what it changes. Nothing in a plan names a person in clear.
package plan
