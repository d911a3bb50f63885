// Package notify tells people what happened (step 6): codes, confirmations, cancellations. A message is remembered in the
// same transaction as what it is about, sealed, and worked off by a background job; nothing is ever sent inside a request.
//
// A message is handed to the gateway at most once. When a process dies between handing it over and writing that down,
// the message is left as "unknown": rather one message missing, which the page shows anyway, than two.
package notify
