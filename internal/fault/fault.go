// Package fault holds the one error type that crosses packages. A domain says what kind of refusal it is, under which
// public code, and what the caller may do about it; httpapi turns that into an answer in one switch. Anything that isn't
// a *fault.Error is unexpected and becomes a mute 500.
package fault

import (
	"errors"
	"time"
)

// Kind is what sort of refusal an error is. It decides the HTTP status.
type Kind uint8

// The kinds. The zero value is Internal, so that an error somebody forgot to fill says nothing.
const (
	Internal         Kind = iota // nobody's business: 500
	Invalid                      // the request itself is wrong, and sending it again won't help: 400
	Unauthenticated              // who are you? 401
	Forbidden                    // known, but not allowed: 403
	NotFound                     // 404
	MethodNotAllowed             // 405
	Conflict                     // allowed, but something else stands in the way: 409
	Gone                         // was there, is over: 410
	Precondition                 // what the caller has seen isn't what there is any more: 412
	TooLarge                     // 413
	Unsupported                  // not JSON: 415
	TooMany                      // a limit, with until when: 429
	Unavailable                  // not now, with when to try again: 503
)

// Error is a refusal with a public code. It never holds personal data, and its cause is for the log alone.
type Error struct {
	Kind Kind
	Code Code
	// RetryAfter is when trying again makes sense; zero where waiting doesn't help.
	RetryAfter time.Duration
	// Fields says which parts of a request are wrong.
	Fields []Field
	// Extra is what the code's documentation promises besides: a Decision, the live hold, alternatives. Only httpapi
	// knows how to show it.
	Extra any

	cause error
}

// Field is one wrong part of a request.
type Field struct {
	// Pointer is the JSON pointer of the part in the body, or the name of the parameter.
	Pointer string
	// Problem is what is wrong with it, in English, without repeating the value.
	Problem string
}

// New returns a refusal of the given kind under the given public code.
func New(kind Kind, code Code) *Error { return &Error{Kind: kind, Code: code} }

// After returns a copy that says when to try again.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// With returns a copy that carries what the code's documentation promises besides.
func (e *Error) With(extra any) *Error {
	c := *e
	c.Extra = extra
	return &c
}

// Field returns a copy that names one more wrong part of the request.
func (e *Error) Field(pointer, problem string) *Error {
	c := *e
	c.Fields = append(append([]Field(nil), e.Fields...), Field{Pointer: pointer, Problem: problem})
	return &c
}

// Because returns a copy with the cause, which is logged and never shown.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Error is for logs.
func (e *Error) Error() string {
	if e.cause != nil {
		return string(e.Code) + ": " + e.cause.Error()
	}
	return string(e.Code)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf returns the public code of err, or "" if err isn't a refusal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
