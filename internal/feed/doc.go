// Package feed says what is free to other sites, in the form of SMART Scheduling Links: a manifest, and files of FHIR Locations,
// Schedules and Slots. It owns nothing: it writes anew what is published and shown, from memory, at most twice a minute, and never
// more than that.
package feed
