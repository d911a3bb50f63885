// Package waitingroom decides who may come in (step 1). A place in the line belongs to a person, never to a browser: it is
// a row, found again from any device, and a ticket that says it. An admission belongs to a person too, and is checked by
// the server at every step that gives something away.
//
// It owns rooms, registrations, the draw, tickets, the serving number and admissions. It knows neither campaigns nor rules:
// app hands in what rooms there are, and httpapi asks who is entitled to a place. Unknown or unreachable always means
// waiting, never entering.
package waitingroom
