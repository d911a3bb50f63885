// Package load sends requests and measures how they are answered. It is the same code for whatever is measured, and it
// knows nothing of what it sends: an Operation does that, on a connection that is handed to it.
//
// A closed loop (Closed) finds how much is answered when somebody always waits. Its latencies say little: whoever is slow
// is asked less. An open loop (Open) sends when it's time to, whatever became of the requests before, and counts each
// latency from the instant at which the request was meant to be sent, so that a server that stands still for a second is
// seen by everybody who would have come in that second.
package load
