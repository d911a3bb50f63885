// Package waitingroom decides who may come in (step 1). An admission belongs to a person, never to a browser, and is
// checked by the server at every step that gives something away.
//
// So far every room is one without a line: it admits at once. The guard in front of holding and booking is the same as
// for a room with one.
package waitingroom
