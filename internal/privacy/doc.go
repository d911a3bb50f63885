// Package privacy ends what is known of people: it seals their rows with a newer key, and forgets them when the last campaign
// that they took part in may be forgotten. It knows which columns are sealed, and nothing of what is in them.
//
// Why no key per campaign: a person is one person in all campaigns, so their row would need several; and keys that lie in
// the same database as what they seal are in each of its backups. So the deployment's own keyset, which no database has, is
// what is destroyed: forgetting blanks the rows that are over, Reseal moves all others to the newest key, and once the old
// key is retired, no copy of the database that was ever made shows anybody who was forgotten.
package privacy
