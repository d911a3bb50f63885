// Package migrations embeds the schema of Postgres as golang-migrate pairs.
//
// Every pair can be deployed alone: the code of the release before runs on the schema after. Background jobs keep their
// tables in a schema of their own, "river", which River's own migrator fills (see internal/postgres).
package migrations

import "embed"

// FS holds the pairs NNNNNN_name.up.sql and NNNNNN_name.down.sql.
//
//go:embed *.sql
var FS embed.FS
