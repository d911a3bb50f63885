// Package jaritest runs real instances for tests: the whole application on a database and a Redis number of the test's
// own, answering HTTP, with a clock that the test moves and a log that it can read.
//
// Tests ask it what a citizen would ask, through Server.Do and Citizen.Do. Every answer, whichever test asked for it, is
// held against openapi/jari.yaml: a status, a header or a field that the contract doesn't know fails the test.
//
// The package replaces nothing: no store, no gateway, no guard. What a test wants to know of the stores it reads itself,
// from Pool and Redis.
package jaritest
