// Package history keeps the record of what was applied to a database, in Atlas's table atlas_schema_revisions, and the
// lock that one writer of it holds at a time. It says how a directory and a history agree.
//
// It executes no migration: package migrate does, and adopt begins a history with a baseline.
package history

import (
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
	"github.com/authgraph/authgraph/internal/directory"
)

// The definitions are those of the Atlas CLI, so that it finds nothing to
// change in a table made here.
var createRevisions = map[string]string{
	dialect.MySQL: "CREATE TABLE IF NOT EXISTS `" + atlasdb.RevisionsTable + "` (" +
		"`version` varchar(255) NOT NULL, `description` varchar(255) NOT NULL, " +
		"`type` bigint unsigned NOT NULL DEFAULT 2, `applied` bigint NOT NULL DEFAULT 0, `total` bigint NOT NULL DEFAULT 0, " +
		"`executed_at` timestamp NOT NULL, `execution_time` bigint NOT NULL, " +
		"`error` longtext NULL, `error_stmt` longtext NULL, " +
		"`hash` varchar(255) NOT NULL, `partial_hashes` json NULL, `operator_version` varchar(255) NOT NULL, " +
		"PRIMARY KEY (`version`)) CHARSET utf8mb4 COLLATE utf8mb4_bin",
	dialect.SQLite: "CREATE TABLE IF NOT EXISTS `" + atlasdb.RevisionsTable + "` (" +
		"`version` text NOT NULL, `description` text NOT NULL, " +
		"`type` integer NOT NULL DEFAULT (2), `applied` integer NOT NULL DEFAULT (0), `total` integer NOT NULL DEFAULT (0), " +
		"`executed_at` datetime NOT NULL, `execution_time` integer NOT NULL, " +
		"`error` text NULL, `error_stmt` text NULL, " +
		"`hash` text NOT NULL, `partial_hashes` json NULL, `operator_version` text NOT NULL, " +
		"PRIMARY KEY (`version`))",
}

// operator is what the history names as the program that ran a migration.
const operator = "authgraph"

// Store is the revision table of a database, read and written on its one connection.
type Store struct{ DB *atlasdb.DB }

// Create makes the table where there is none. One that another program made with an
// engine without transactions becomes InnoDB's: rows are committed with their record.
func (s Store) Create(ctx context.Context) error {
	if _, err := s.DB.Conn.ExecContext(ctx, createRevisions[s.DB.URL.Dialect]); err != nil {
		return fmt.Errorf("create table %s: %w", atlasdb.RevisionsTable, err)
	}
	if s.DB.URL.Dialect == dialect.SQLite {
		return nil
	}
	var engine sql.NullString
	err := s.DB.Conn.QueryRowContext(ctx, "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?", atlasdb.RevisionsTable).Scan(&engine)
	if err == nil && !strings.EqualFold(engine.String, "InnoDB") {
		_, err = s.DB.Conn.ExecContext(ctx, "ALTER TABLE "+atlasdb.RevisionsTable+" ENGINE = InnoDB")
	}
	if err != nil {
		return fmt.Errorf("table %s has to be InnoDB's: %w", atlasdb.RevisionsTable, err)
	}
	return nil
}

func (s Store) exists(ctx context.Context) (bool, error) {
	query := "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?"
	if s.DB.URL.Dialect == dialect.SQLite {
		query = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
	}
	var n int
	if err := s.DB.Conn.QueryRowContext(ctx, query, atlasdb.RevisionsTable).Scan(&n); err != nil {
		return false, fmt.Errorf("look for table %s: %w", atlasdb.RevisionsTable, err)
	}
	return n > 0, nil
}

// Read is the history in the order of versions; empty if there is no table.
func (s Store) Read(ctx context.Context) (revs []*atlas.Revision, err error) {
	if ok, err := s.exists(ctx); !ok {
		return nil, err
	}
	// Rows whose version begins with a dot are the Atlas CLI's own notes.
	rows, err := s.DB.Conn.QueryContext(ctx, "SELECT version, description, type, applied, total, executed_at, execution_time, "+
		"COALESCE(error, ''), COALESCE(error_stmt, ''), hash, COALESCE(partial_hashes, 'null'), operator_version "+
		"FROM "+atlasdb.RevisionsTable+" WHERE version NOT LIKE '.%' ORDER BY version")
	if err != nil {
		if text := err.Error(); strings.Contains(text, "Unknown column") || strings.Contains(text, "no such column") {
			err = fmt.Errorf("it is not Atlas's, rename it or use another database: %w", err)
		}
		return nil, fmt.Errorf("read table %s: %w", atlasdb.RevisionsTable, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r atlas.Revision
		var partial []byte
		if err := rows.Scan(&r.Version, &r.Description, &r.Type, &r.Applied, &r.Total, &r.ExecutedAt, &r.ExecutionTime,
			&r.Error, &r.ErrorStmt, &r.Hash, &partial, &r.OperatorVersion); err != nil {
			return nil, fmt.Errorf("read table %s: %w", atlasdb.RevisionsTable, err)
		}
		if err := json.Unmarshal(partial, &r.PartialHashes); err != nil {
			return nil, fmt.Errorf("read table %s: partial hashes of %s: %w", atlasdb.RevisionsTable, r.Version, err)
		}
		revs = append(revs, &r)
	}
	return revs, rows.Err()
}

// RecordError is a record that could not be written.
type RecordError struct{ Err error }

func (e *RecordError) Error() string {
	return fmt.Sprintf("write table %s: %v", atlasdb.RevisionsTable, e.Err)
}
func (e *RecordError) Unwrap() error { return e.Err }

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
	_, err := s.DB.Conn.ExecContext(ctx, "REPLACE INTO "+atlasdb.RevisionsTable+" (version, description, type, applied, total, executed_at, "+
		"execution_time, error, error_stmt, hash, partial_hashes, operator_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r.Version, r.Description, uint(r.Type), r.Applied, r.Total, r.ExecutedAt.UTC().Truncate(time.Second),
		int64(r.ExecutionTime), r.Error, r.ErrorStmt, r.Hash, partial, operator)
	if err != nil {
		return &RecordError{err}
	}
	return nil
}

// Save writes a record so that it stays, whatever a file set or began on the connection: autocommit = 0, a
// transaction. The error is a [*RecordError].
func (s Store) Save(ctx context.Context, r *atlas.Revision) error {
	if err := s.Write(ctx, r); err != nil {
		return err
	}
	if _, err := s.DB.Conn.ExecContext(ctx, "COMMIT"); err != nil {
		return &RecordError{err}
	}
	return nil
}

// Baseline is the record of a file that counts as applied, with all files before it.
func Baseline(f atlas.File) *atlas.Revision {
	return &atlas.Revision{
		Version: f.Version(), Description: f.Desc(), Type: atlas.RevisionTypeBaseline, ExecutedAt: time.Now(),
	}
}

// Verify holds a directory against a history: every applied file is there and
// unchanged, and none was added before an applied one.
func Verify(dir directory.Dir, revs []*atlas.Revision) error {
	if len(revs) == 0 {
		return nil
	}
	files, err := dir.Files()
	if err != nil {
		return directory.Wrap(dir, err)
	}
	sum, err := dir.Checksum()
	if err != nil {
		return directory.Wrap(dir, err)
	}
	byVersion := make(map[string]*atlas.Revision, len(revs))
	for _, r := range revs {
		byVersion[r.Version] = r
	}
	// A baseline stands for the files before it.
	first, last := "", revs[len(revs)-1].Version
	if revs[0].Type == atlas.RevisionTypeBaseline {
		first = revs[0].Version
	}
	inDir := make(map[string]bool, len(files))
	for _, f := range files {
		inDir[f.Version()] = true
	}
	if newest := revs[len(revs)-1]; !slices.ContainsFunc(revs, func(r *atlas.Revision) bool { return inDir[r.Version] }) {
		return &Error{Reason: Foreign, File: FileOf(newest)}
	}
	for _, f := range files {
		if _, ok := byVersion[f.Version()]; !ok && first < f.Version() && f.Version() < last {
			return &Error{Reason: OutOfOrder, File: f.Name()}
		}
	}
	for _, r := range revs {
		if !inDir[r.Version] {
			return &Error{Reason: Missing, File: FileOf(r)}
		}
	}
	for _, f := range files {
		r, ok := byVersion[f.Version()]
		// A baseline was never executed; a half-applied file is compared
		// statement by statement.
		if !ok || r.Type == atlas.RevisionTypeBaseline || r.Hash == "" || r.Applied < r.Total {
			continue
		}
		h, err := sum.SumByName(f.Name())
		if err != nil {
			return directory.Wrap(dir, err)
		}
		if h != r.Hash {
			return &Error{Reason: Changed, File: f.Name()}
		}
	}
	return nil
}

// FileOf is the name of the file that a record is of.
func FileOf(r *atlas.Revision) string {
	if r.Description == "" {
		return r.Version + ".sql"
	}
	return r.Version + "_" + r.Description + ".sql"
}

// Pending are the files of the directory that are not, or not wholly, applied.
func Pending(dir directory.Dir, revs []*atlas.Revision) ([]atlas.File, error) {
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	if len(revs) == 0 {
		return files, nil
	}
	last := revs[len(revs)-1]
	var out []atlas.File
	for _, f := range files {
		if f.Version() > last.Version || f.Version() == last.Version && last.Applied < last.Total {
			out = append(out, f)
		}
	}
	return out, nil
}
