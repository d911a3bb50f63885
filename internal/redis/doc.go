// Package redis opens the store of proposals: live holds and rates, all of which may be lost. It runs scripts and names
// failures, and knows no word of the domain.
package redis
