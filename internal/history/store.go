package history

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// operator is what the history names as the program that ran a migration.
const operator = "authgraph"

// Store is a revision table, read and written on the one connection to its database.
type Store struct {
	DB *atlasdb.DB
	// Schema is the schema on the server that the table is in; empty is the database itself.
	Schema string
}

// Of is the store of the history that a database keeps in a schema. SQLite has none but the database itself.
func Of(db *atlasdb.DB, schema string) (Store, error) {
	if schema != "" && db.URL.Dialect == dialect.SQLite {
		return Store{}, &SchemaError{schema}
	}
	return Store{db, schema}, nil
}

// table is the name of the table in statements.
func (s Store) table() string {
	if s.Schema == "" {
		return dbserver.Quote(atlasdb.RevisionsTable)
	}
	return dbserver.Quote(s.Schema) + "." + dbserver.Quote(atlasdb.RevisionsTable)
}

// name is the name of the table in errors.
func (s Store) name() string {
	if s.Schema == "" {
		return atlasdb.RevisionsTable
	}
	return s.Schema + "." + atlasdb.RevisionsTable
}

// schema is the name of the schema that the table is in.
func (s Store) schema() string { return cmp.Or(s.Schema, s.DB.URL.Database()) }

// The definitions are those of the Atlas CLI, so that it finds nothing to change in a table made here.
var createRevisions = map[string]string{
	dialect.MySQL: "(" +
		"`version` varchar(255) NOT NULL, `description` varchar(255) NOT NULL, " +
		"`type` bigint unsigned NOT NULL DEFAULT 2, " +
		"`applied` bigint NOT NULL DEFAULT 0, `total` bigint NOT NULL DEFAULT 0, " +
		"`executed_at` timestamp NOT NULL, `execution_time` bigint NOT NULL, " +
		"`error` longtext NULL, `error_stmt` longtext NULL, " +
		"`hash` varchar(255) NOT NULL, `partial_hashes` json NULL, `operator_version` varchar(255) NOT NULL, " +
		"PRIMARY KEY (`version`)) CHARSET utf8mb4 COLLATE utf8mb4_bin",
	dialect.SQLite: "(" +
		"`version` text NOT NULL, `description` text NOT NULL, " +
		"`type` integer NOT NULL DEFAULT (2), " +
		"`applied` integer NOT NULL DEFAULT (0), `total` integer NOT NULL DEFAULT (0), " +
		"`executed_at` datetime NOT NULL, `execution_time` integer NOT NULL, " +
		"`error` text NULL, `error_stmt` text NULL, " +
		"`hash` text NOT NULL, `partial_hashes` json NULL, `operator_version` text NOT NULL, " +
		"PRIMARY KEY (`version`))",
}

// Create makes the table if there is none, and its schema. If another program made it with an engine that has no
// transactions, it becomes InnoDB's: rows are committed together with their record.
func (s Store) Create(ctx context.Context) error {
	if err := s.createSchema(ctx); err != nil {
		return err
	}
	create := "CREATE TABLE IF NOT EXISTS " + s.table() + " " + createRevisions[s.DB.URL.Dialect]
	if _, err := s.DB.Conn.ExecContext(ctx, create); err != nil {
		return fmt.Errorf("create table %s: %w", s.name(), err)
	}
	if s.DB.URL.Dialect == dialect.SQLite {
		return nil
	}
	var engine sql.NullString
	err := s.DB.Conn.QueryRowContext(ctx, "SELECT ENGINE FROM information_schema.TABLES "+
		"WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", s.schema(), atlasdb.RevisionsTable).Scan(&engine)
	if err == nil && !strings.EqualFold(engine.String, "InnoDB") {
		_, err = s.DB.Conn.ExecContext(ctx, "ALTER TABLE "+s.table()+" ENGINE = InnoDB")
	}
	if err != nil {
		return fmt.Errorf("table %s has to be InnoDB's: %w", s.name(), err)
	}
	return nil
}

// createSchema makes the schema if it is not seen: an account that may only use it could not.
func (s Store) createSchema(ctx context.Context) error {
	if s.Schema == "" {
		return nil
	}
	var n int
	err := s.DB.Conn.QueryRowContext(ctx,
		"SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", s.Schema).Scan(&n)
	if err == nil && n == 0 {
		_, err = s.DB.Conn.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+dbserver.Quote(s.Schema))
	}
	if err != nil {
		return fmt.Errorf("create schema %s for the history: %w", s.Schema, err)
	}
	return nil
}

func (s Store) exists(ctx context.Context) (bool, error) {
	query := "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = ? AND TABLE_SCHEMA = ?"
	args := []any{atlasdb.RevisionsTable, s.schema()}
	if s.DB.URL.Dialect == dialect.SQLite {
		query, args = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?", args[:1]
	}
	var n int
	if err := s.DB.Conn.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return false, fmt.Errorf("look for table %s: %w", s.name(), err)
	}
	return n > 0, nil
}

// Visible is a [*HiddenError] if the account may not read the table, which then is as if it were not there.
func (s Store) Visible(ctx context.Context) error {
	if s.DB.URL.Dialect == dialect.SQLite {
		return nil
	}
	const noSuchTable, unknownDatabase = 1146, 1049
	rows, err := s.DB.Conn.QueryContext(ctx, "SELECT 1 FROM "+s.table()+" LIMIT 0")
	if err == nil {
		defer func() { _ = rows.Close() }() // nothing is read
		return rows.Err()
	}
	switch {
	case mysqlconn.IsServer(err, noSuchTable, unknownDatabase):
		return nil
	case isDenied(err):
		return s.hidden(ctx)
	default:
		return fmt.Errorf("look for table %s: %w", s.name(), err)
	}
}

// isDenied reports whether the server said that the account lacks a right on a table, or on a database.
func isDenied(err error) bool { return mysqlconn.IsServer(err, 1142, 1044) }

// hidden is the error of a table that the account may not read.
func (s Store) hidden(ctx context.Context) error {
	hidden := &HiddenError{Table: s.name(), on: s.table()}
	if s.Schema != "" { // it may have to be made
		hidden.on = dbserver.Quote(s.Schema) + ".*"
	}
	return cmp.Or(s.DB.Conn.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&hidden.Account), error(hidden))
}

// Read is the history in the order of versions; empty if there is no table, or none that the account sees. If it sees
// the table and may not read it, the error is a [*HiddenError].
func (s Store) Read(ctx context.Context) (revs []*atlas.Revision, err error) {
	if ok, err := s.exists(ctx); !ok {
		return nil, err
	}
	// Rows whose version begins with a dot are the Atlas CLI's own notes.
	rows, err := s.DB.Conn.QueryContext(ctx, "SELECT version, description, type, applied, total, executed_at, "+
		"execution_time, COALESCE(error, ''), COALESCE(error_stmt, ''), hash, COALESCE(partial_hashes, 'null'), "+
		"operator_version "+
		"FROM "+s.table()+" WHERE version NOT LIKE '.%' ORDER BY version")
	if isDenied(err) {
		return nil, s.hidden(ctx)
	}
	if err != nil {
		if text := err.Error(); strings.Contains(text, "Unknown column") || strings.Contains(text, "no such column") {
			err = fmt.Errorf("it is not Atlas's, rename it or use another database: %w", err)
		}
		return nil, fmt.Errorf("read table %s: %w", s.name(), err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r atlas.Revision
		var partial []byte
		if err := rows.Scan(&r.Version, &r.Description, &r.Type, &r.Applied, &r.Total, &r.ExecutedAt, &r.ExecutionTime,
			&r.Error, &r.ErrorStmt, &r.Hash, &partial, &r.OperatorVersion); err != nil {
			return nil, fmt.Errorf("read table %s: %w", s.name(), err)
		}
		if err := json.Unmarshal(partial, &r.PartialHashes); err != nil {
			return nil, fmt.Errorf("read table %s: partial hashes of %s: %w", s.name(), r.Version, err)
		}
		revs = append(revs, &r)
	}
	return revs, rows.Err()
}

// recorded are the columns of a record beside its version.
var recorded = []string{
	"description", "type", "applied", "total", "executed_at", "execution_time", "error", "error_stmt", "hash",
	"partial_hashes", "operator_version",
}

// onConflict begins what is done where there is a record of the version. Vitess has no REPLACE for sharded tables.
var onConflict = map[string]string{
	dialect.MySQL:  "ON DUPLICATE KEY UPDATE",
	dialect.SQLite: "ON CONFLICT (version) DO UPDATE SET",
}

// Write writes a record, in the transaction that the connection is in. The error is a [*RecordError].
func (s Store) Write(ctx context.Context, r *atlas.Revision) error {
	var partial any // NULL where there is none; Atlas reads that like its own null
	if len(r.PartialHashes) > 0 {
		b, err := json.Marshal(r.PartialHashes)
		if err != nil {
			return err
		}
		partial = string(b)
	}
	values := []any{
		r.Description, uint(r.Type), r.Applied, r.Total, r.ExecutedAt.UTC().Truncate(time.Second),
		int64(r.ExecutionTime), r.Error, r.ErrorStmt, r.Hash, partial, operator,
	}
	row := " INTO " + s.table() + " (version, " + strings.Join(recorded, ", ") + ") VALUES (?" +
		strings.Repeat(", ?", len(recorded)) + ")"
	own := append([]any{r.Version}, values...)
	_, err := s.DB.Conn.ExecContext(ctx, "INSERT"+row+" "+onConflict[s.DB.URL.Dialect]+" "+
		strings.Join(recorded, " = ?, ")+" = ?", slices.Concat(own, values)...)
	if isDenied(err) { // the account may only insert and delete
		_, err = s.DB.Conn.ExecContext(ctx, "REPLACE"+row, own...)
	}
	if err != nil {
		return &RecordError{s.name(), err}
	}
	return nil
}

// Save writes a record so that it stays, whatever a file set or began on the connection: autocommit = 0, a transaction.
// The error is a [*RecordError].
func (s Store) Save(ctx context.Context, r *atlas.Revision) error {
	if err := s.Write(ctx, r); err != nil {
		return err
	}
	if _, err := s.DB.Conn.ExecContext(ctx, "COMMIT"); err != nil {
		return &RecordError{s.name(), err}
	}
	return nil
}

// RecordError is a record that could not be written.
type RecordError struct {
	// Table is the table of the history.
	Table string
	Err   error
}

func (e *RecordError) Error() string { return fmt.Sprintf("write table %s: %v", e.Table, e.Err) }

func (e *RecordError) Unwrap() error { return e.Err }
