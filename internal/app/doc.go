// Package app is the composition root: it opens the stores, builds the services, and serves until it is told to stop.
package app
