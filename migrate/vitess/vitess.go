// Package vitess holds what the keyspaces of the tables need on Vitess beside the migrations, where there is more than
// one shard. docs/high-availability.md says how to use the files.
package vitess

import "embed"

// Files are the two vschemas, and the tables that they name: vschema.json and lookups.sql are of the keyspace of the
// tables, sequences.vschema.json and sequences.sql of one beside it that is not sharded.
//
//go:embed *.json *.sql
var Files embed.FS
