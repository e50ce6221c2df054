// Package entgraph reads an Ent schema from its Go files, as the generator
// does, and writes the database that follows from it as SQL.
//
// It carries the generator, which services must not: package migrate does not
// import it.
package entgraph

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"
)

// Tables are those of the Ent schema in the Go files of a folder, which must
// lie in the module of the current folder. It runs the go command, which
// compiles them.
func Tables(folder string) ([]*schema.Table, error) {
	if !HoldsGo(folder) {
		return nil, fmt.Errorf("the folder %s holds no Go files: name the one of the Ent schema, as in ent://ent/schema", folder)
	}
	path := filepath.ToSlash(folder)
	if !filepath.IsAbs(folder) && !strings.HasPrefix(path, ".") {
		path = "./" + path // without it the go command would take an import path
	}
	graph, err := entc.LoadGraph(path, &gen.Config{})
	if err != nil && incomplete.MatchString(err.Error()) {
		graph, err = loadApart(path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the Ent schema in %s: %w", folder, err)
	}
	tables, err := graph.Tables()
	if err != nil {
		return nil, fmt.Errorf("read the Ent schema in %s: %w", folder, err)
	}
	return tables, nil
}

// incomplete is what the go command says where go.mod does not list what the
// generator imports: go mod tidy takes it out where only a build-ignored
// entc.go, or go run -mod=mod, needs it.
var incomplete = regexp.MustCompile(`missing go\.sum entry|updates to go\.mod needed|no required module provides package`)

// loadApart loads the graph with a copy of go.mod, to which the go command may
// add what is missing; cause is the error without that.
func loadApart(path string, cause error) (_ *gen.Graph, err error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return nil, cause
	}
	folder, err := os.MkdirTemp("", "authgraph_mod_")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	root := filepath.Dir(strings.TrimSpace(string(out)))
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, errors.Join(cause, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	return entc.LoadGraph(path, &gen.Config{BuildFlags: []string{"-mod=mod", "-modfile=" + filepath.Join(folder, "go.mod")}})
}

// HoldsGo reports whether Go files lie in a folder.
func HoldsGo(folder string) bool {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			return true
		}
	}
	return false
}

// versions choose what the planner may use: named CHECKs and expression
// defaults.
var versions = map[string]string{dialect.MySQL: "8.0.19", dialect.SQLite: "3.40.0"}

// position is a line in which Ent names where in the Go files a table is
// declared; it would change the output with every edit there.
var position = regexp.MustCompile(`(?m)^-- atlas:pos .*\n`)

// hint is a part of a default that MySQL and MariaDB read and SQLite skips.
var hint = regexp.MustCompile(`/\*!(.*?)\*/`)

// SQL is the statements that make the tables in an empty database of a
// dialect, dialect.MySQL (for MariaDB too) or dialect.SQLite. No database is
// needed.
func SQL(ctx context.Context, name string, tables []*schema.Table) (string, error) {
	version, ok := versions[name]
	if !ok {
		return "", fmt.Errorf("no SQL for dialect %q", name)
	}
	if len(tables) == 0 {
		return "", errors.New("the schema has no tables")
	}
	ddl, err := schema.DDL(ctx, schema.DDLArgs{Dialect: name, Version: version, Tables: tables})
	if err != nil {
		return "", err
	}
	read := ""
	if name == dialect.MySQL {
		read = "$1"
	}
	ddl = hint.ReplaceAllString(ddl, read)
	return strings.TrimLeft(position.ReplaceAllString(ddl, ""), "\n"), nil
}
