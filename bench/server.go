package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/bench/internal/load"
	"github.com/authgraph/authgraph/internal/testserver"
	"github.com/authgraph/authgraph/migrate"
)

// server is the one that is measured on.
type server struct {
	*testserver.Server
	admin *sql.DB
	names []string
}

// start starts a server with a buffer pool that holds so many rows, or uses the one of -url.
func start(ctx context.Context, s *settings, rows int) (*server, error) {
	var running *testserver.Server
	var err error
	if s.url != "" {
		running = &testserver.Server{URL: s.url}
	} else {
		running, err = testserver.StartOwn(ctx, testserver.MySQL, os.Stderr, flagsFor(s, rows)...)
		if err != nil {
			return nil, err
		}
	}
	admin, err := openDB(running.URL)
	if err == nil {
		err = admin.QueryRowContext(ctx, "SELECT VERSION()").Scan(&running.Version)
	}
	if err != nil {
		running.Stop()
		return nil, err
	}
	return &server{Server: running, admin: admin}, nil
}

// flagsFor are the server's: everything is in memory, as it should be in service; an index built at once is as loose as
// one that grew row by row.
func flagsFor(s *settings, rows int) []string {
	pool := s.pool
	if pool == "" {
		const perRow = 500 // 410 of all tables with their indexes, and some room
		pool = fmt.Sprintf("%dM", max(512, rows*perRow>>20))
	}
	return []string{
		"--innodb-buffer-pool-size=" + pool, "--innodb-redo-log-capacity=2G", "--innodb-fill-factor=70",
	}
}

// stop ends the server, or drops what was made on one that was there before.
func (s *server) stop() {
	if s.Server.URL != "" {
		for _, name := range s.names {
			_, _ = s.admin.Exec("DROP DATABASE IF EXISTS " + name)
		}
	}
	_ = s.admin.Close()
	s.Stop()
}

// database makes an empty database and returns its URL.
func (s *server) database(ctx context.Context) (string, error) {
	name := "authgraph_bench_" + strings.ToLower(rand.Text()[:8])
	if _, err := s.admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	s.names = append(s.names, name)
	return strings.TrimSuffix(s.URL, "/") + "/" + name, nil
}

// loaded makes a database with our tables and rows in them.
func (s *server) loaded(ctx context.Context, size load.Size) (url string, db *sql.DB, err error) {
	if url, err = s.database(ctx); err != nil {
		return "", nil, err
	}
	if _, err := migrate.Apply(ctx, url, migrate.ApplyOptions{}); err != nil {
		return "", nil, err
	}
	if db, err = openDB(url); err != nil {
		return "", nil, err
	}
	return url, db, load.Fill(ctx, db, size, os.Stderr)
}

func openDB(url string) (*sql.DB, error) {
	config, err := testserver.Config(url)
	if err != nil {
		return nil, err
	}
	config.InterpolateParams = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// variables are settings of the server that decide what is measured, as it reports them.
func (s *server) variables(ctx context.Context) (string, error) {
	var parts []string
	for _, name := range []string{
		"innodb_buffer_pool_size", "innodb_flush_log_at_trx_commit", "innodb_doublewrite", "log_bin",
		"innodb_fill_factor", "innodb_io_capacity",
		"innodb_redo_log_capacity", "innodb_adaptive_hash_index", "transaction_isolation",
	} {
		var got, value string
		if err := s.admin.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE '"+name+"'").Scan(&got, &value); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		parts = append(parts, "`"+name+"="+value+"`")
	}
	return strings.Join(parts, " "), nil
}
