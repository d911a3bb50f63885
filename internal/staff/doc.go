// Package staff knows who administers: keys of programs, each with a role. A key is shown once, when it is made; only a
// hash of its secret is kept. It never decides what a role may do: every operation names the role that it needs.
package staff
