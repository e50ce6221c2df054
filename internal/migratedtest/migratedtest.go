// Package migratedtest makes the tables for tests that do not test how they come about.
package migratedtest

import (
	"database/sql"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// Apply does to the database at url what [migrate.Apply] does. The migrations themselves run once for each server and
// for SQLite; every other empty database of the process is made as a copy of what they left, which takes a fraction of
// the time.
func Apply(t testing.TB, url string) {
	t.Helper()
	copies.Lock()
	key := server(t, url)
	fill := copies.of[key]
	if fill == nil {
		defer copies.Unlock()
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
		require.NoError(t, err)
		if mysqltest.IsSQLite(url) {
			copies.of[key] = copyOfFile(t, url)
		} else {
			copies.of[key] = copyOfTables(t, url)
		}
		return
	}
	copies.Unlock()
	if len(mysqltest.Tables(t, url)) > 0 {
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
		require.NoError(t, err)
		return
	}
	fill(t, url)
}

// copies are how to fill an empty database, by its server.
var copies = struct {
	sync.Mutex
	of map[string]func(t testing.TB, url string)
}{of: map[string]func(testing.TB, string){}}

// server is the URL without the database.
func server(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	u.Path = ""
	return u.String()
}

func copyOfFile(t testing.TB, url string) func(testing.TB, string) {
	t.Helper()
	content, err := os.ReadFile(file(url))
	require.NoError(t, err)
	return func(t testing.TB, url string) {
		t.Helper()
		require.NoError(t, os.WriteFile(file(url), content, 0o600))
	}
}

func file(url string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(url, "sqlite://"), "?")
	return name
}

func copyOfTables(t testing.TB, url string) func(testing.TB, string) {
	t.Helper()
	db := mysqltest.DB(t, url)
	statements := []string{"SET foreign_key_checks = 0"}
	for _, name := range mysqltest.Tables(t, url) {
		var create string
		require.NoError(t, db.QueryRow("SHOW CREATE TABLE `"+name+"`").Scan(new(string), &create))
		statements = append(statements, create)
	}
	insert, rows := history(t, db)
	return func(t testing.TB, url string) {
		t.Helper()
		db := mysqltest.DB(t, url)
		db.SetMaxOpenConns(1) // SET is for the connection
		mysqltest.Exec(t, db, statements...)
		for _, row := range rows {
			_, err := db.Exec(insert, row...)
			require.NoError(t, err)
		}
	}
}

// history is what the migrations left of themselves.
func history(t testing.TB, db *sql.DB) (insert string, all [][]any) {
	t.Helper()
	rows, err := db.Query("SELECT * FROM atlas_schema_revisions")
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		require.NoError(t, rows.Scan(into...))
		all = append(all, row)
	}
	require.NoError(t, rows.Err())
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	return "INSERT INTO atlas_schema_revisions VALUES (" + marks + ")", all
}
