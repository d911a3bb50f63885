// Package publish holds what administrators are promised when they publish: the rules reach every instance at one
// instant, and nobody who has booked is judged again.
package publish
