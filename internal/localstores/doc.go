//go:build unix

// Package localstores starts a private Postgres and a private Redis (or Valkey) for development, tests and benchmarks.
// A newcomer needs no running service, no password and no free standard port: everything that the pair needs and leaves
// behind is in one data folder. `jari serve` never uses it; in production the stores are somebody's whose job they are.
//
// # What it promises
//
// The stores listen on 127.0.0.1 alone, on ports that were free at the first start and are remembered with generated
// passwords in the data folder (state.json, mode 0600). Starting again finds Postgres's data as it was. Redis keeps
// nothing over a restart: holds may be lost by design, and development should live with what production may do.
//
// Started by root, both run as another user, because Postgres refuses root. Started from a terminal, both live in a
// session of their own, so that Ctrl-C reaches the server first and the stores stop after it has finished.
//
// A killed parent leaves the stores running. The next start on the same folder finds them, makes sure that they are its
// own by process id and password, and carries on with them.
//
// # What it never does
//
// It touches no store that it hasn't started, and it deletes no data: a data folder of another major version of
// Postgres is an error that says what to do.
package localstores
