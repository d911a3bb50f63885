// Package campaign holds what administrators configure and publish: who may book, when, which days, and where.
//
// It owns the campaigns, their immutable published versions and their sites. Every instance keeps a snapshot of them in
// memory, confirmed against Postgres each second; nothing here is asked of a store while a citizen waits. It never
// decides about a person: it hands out the compiled rules.
package campaign
