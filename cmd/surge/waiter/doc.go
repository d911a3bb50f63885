// Package waiter waits in a room as a good browser does: it computes its own position, keeps the highest serving number that
// it saw, asks as the room says and never together with others, and takes everything but the expected answer for "keep
// waiting". openapi/client has the rules, and the same in JavaScript.
//
// Line is what one person knows, without asking anybody; Wait asks a server with it.
package waiter
