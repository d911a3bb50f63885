// Package staff knows who administers: keys of programs, each with a role, and what each role may do. A key is shown once,
// when it is made; only a hash of its secret is kept, and its text names the environment that it is for.
package staff
