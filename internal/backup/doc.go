// Package backup copies the whole database into one sealed file and back.
//
// A backup is one snapshot, taken by pg_dump while the servers go on: what was acknowledged before it began is in it. It is
// sealed with a key that servers don't have (JARI_BACKUP_KEYS), because a dump shows who booked what by ids and hashes; what
// identifies people is sealed in it once more, by JARI_DATA_KEYS, which are never in a backup.
//
// What came after a backup is gone when it is restored, and what is still out there of it must not be believed: copies of
// slots in Redis with higher versions, messages that wait in the backup and were sent since. So the store generation, by
// which copies are told apart, isn't in a backup at all: a database that was loaded and not finished has none, and nothing
// can be booked on it. Renew makes one.
//
// Losing nothing is the business of Postgres itself: a synchronous standby, and an archive of its log (deploy/postgres). A
// database that was recovered by them needs Renew too, if anything that was acknowledged may be missing from it.
package backup
