// Package identity knows who asks (step 2): it verifies a phone by SMS or asks an OpenID provider, finds or makes the
// person behind it, and gives out sessions, also to those who act for another.
//
// Everything scarce is given to a person, never to a browser or a phone. A person is a random id; a keyed hash finds it,
// and what identifies a human being is sealed. An SMS proves a phone and nothing else: under the scheme "phone", name
// and birth date are what people say of themselves, to be checked on site; a national id or an entry of a list counts only
// with a binding to whoever gives it.
//
// The package never decides what a person may do.
package identity
