// Package entgraph reads an Ent schema from its Go files: its entities, and the database that follows from it as SQL.
//
// The schema is read by a small program that the go command runs in the module it lies in: with the version of Ent that
// the module has, and without the generator in this program.
package entgraph

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
)

// loader is the program that reads a schema.
//
//go:embed loader/main.go
var loader []byte

// NoWorkspace has the go command read and change the module of the current folder
// alone, whatever the go.work file is that it lies below.
const NoWorkspace = "GOWORK=off"

// Load is the SQL that makes the tables of the Ent schema in the Go files of a folder, which must lie in the module of
// the current folder, in an empty database of a dialect: dialect.MySQL (for MariaDB too) or dialect.SQLite. It needs
// the go command, which is run with env beside its own environment, and no database.
func Load(ctx context.Context, folder, name string, env ...string) (string, error) {
	ddl, err := load(ctx, "", folder, name, versions[name], env)
	if err != nil {
		return "", err
	}
	return tidy(name, ddl), nil
}

// load runs the loader in the folder root, to which the other one is relative.
func load(ctx context.Context, root, folder, name, version string, env []string) (_ string, err error) {
	if at := within(root, folder); !HoldsGo(at) {
		return "", fmt.Errorf("the folder %s holds no Go files: name the one of the Ent schema, as in ent://ent/schema",
			folder)
	}
	temp, err := os.MkdirTemp("", "authgraph_ent_")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	program := filepath.Join(temp, "main.go")
	if err := os.WriteFile(program, bytes.Replace(loader, []byte("//go:build ignore\n"), nil, 1), 0o600); err != nil {
		return "", err
	}
	path := filepath.ToSlash(folder)
	if !filepath.IsAbs(folder) && !strings.HasPrefix(path, ".") {
		path = "./" + path // without it the go command would take an import path
	}
	// Ent's working folder, which it leaves behind when it is interrupted.
	working := filepath.Join(root, ".entc")
	if _, err := os.Stat(working); errors.Is(err, os.ErrNotExist) {
		defer func() { err = errors.Join(err, os.RemoveAll(working)) }()
	}
	args := []string{path, name, version}
	out, err := goRun(ctx, root, env, program, nil, args)
	if err != nil && incomplete.MatchString(err.Error()) {
		out, err = runApart(ctx, root, env, program, temp, args, err)
	}
	if err != nil && strings.Contains(err.Error(), "could not import") {
		err = cause(ctx, root, env, path, err)
	}
	inner := filepath.Join(folder, "schema")
	if err != nil && strings.Contains(err.Error(), "no schema found in") && HoldsGo(within(root, inner)) {
		return "", fmt.Errorf("the folder %s holds no entities: name the one of the Ent schema, as in ent://%s",
			folder, filepath.ToSlash(inner))
	}
	if err != nil && strings.Contains(err.Error(), "undefined: schema.DDL") {
		err = errors.New("go.mod requires an Ent before v0.14.5, which cannot describe it as SQL: " +
			"run go get entgo.io/ent@v0.14.5, or a later version")
	}
	if err != nil {
		return "", fmt.Errorf("read the Ent schema in %s: %w", folder, err)
	}
	return out, nil
}

// within is where a folder is from the current one.
func within(root, folder string) string {
	if filepath.IsAbs(folder) {
		return folder
	}
	return filepath.Join(root, folder)
}

func goRun(ctx context.Context, root string, env []string, program string, flags, args []string) (string, error) {
	out, said, err := Go(ctx, root, env,
		append(append(append([]string{"run"}, flags...), program), append(args, flags...)...)...)
	if said == "" {
		return out, err
	}
	text := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(said), "exit status 1"))
	return "", errors.New(loaderPath.ReplaceAllString(text, "the loader"))
}

// ErrNoGo is the error of a machine without the go command.
var ErrNoGo = errors.New("the go command is not installed, or not on PATH")

// Go runs the go command in a folder, by default the current one, and returns what it prints. If it fails, said is what
// it printed on standard error.
func Go(ctx context.Context, folder string, env []string, args ...string) (out, said string, err error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	switch {
	case err == nil:
		return stdout.String(), "", nil
	case ctx.Err() != nil:
		return "", "", ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return "", "", ErrNoGo
	}
	return "", stderr.String(), err
}

// loaderPath is the path of the loader, which the go command may shorten to one from the current folder.
var loaderPath = regexp.MustCompile(`\S*authgraph_ent_\d+[/\\]main\.go`)

// incomplete is what the go command says where go.mod does not list what the generator imports: go mod tidy takes it
// out where only a build-ignored entc.go, or go run -mod=mod, needs it.
var incomplete = regexp.MustCompile(
	`missing go\.sum entry|updates to go\.mod needed|no required module provides package`)

// runApart runs the program with a copy of go.mod, to which the go command may add
// what is missing; cause is the error without that.
func runApart(
	ctx context.Context, root string, env []string, program, temp string, args []string, cause error,
) (string, error) {
	out, _, err := Go(ctx, root, nil, "env", "GOMOD")
	if err != nil {
		return "", cause
	}
	module := filepath.Dir(strings.TrimSpace(out))
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if name == "go.sum" && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", errors.Join(cause, err)
		}
		if err := os.WriteFile(filepath.Join(temp, name), text, 0o600); err != nil {
			return "", err
		}
	}
	return goRun(ctx, root, env, program, []string{"-mod=mod", "-modfile=" + filepath.Join(temp, "go.mod")}, args)
}

// cause is what the go command says of a package that Ent could not load, which names the import alone: a module that
// cannot be had, as often as not.
func cause(ctx context.Context, root string, env []string, path string, loading error) error {
	_, said, err := Go(ctx, root, env, "list", "-deps", path)
	if err == nil || ctx.Err() != nil {
		return errors.Join(ctx.Err(), loading)
	}
	var lines []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "go: downloading") && len(lines) < 3 {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return loading
	}
	return errors.New(strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": "))
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

// versions choose what the planner may use: named CHECKs and expression defaults.
var versions = map[string]string{dialect.MySQL: "8.0.19", dialect.SQLite: "3.40.0"}

// SQL is the statements that make the tables in an empty database of a dialect.
func SQL(ctx context.Context, name string, tables []*schema.Table) (string, error) {
	ddl, err := schema.DDL(ctx, schema.DDLArgs{Dialect: name, Version: versions[name], Tables: tables})
	if err != nil {
		return "", err
	}
	return tidy(name, ddl), nil
}

// position is a line in which Ent names where in the Go files a table is
// declared; it would change the output with every edit there.
var position = regexp.MustCompile(`(?m)^-- atlas:pos .*\n`)

// hint is a part of a default that MySQL and MariaDB read and SQLite skips.
var hint = regexp.MustCompile(`/\*!(.*?)\*/`)

func tidy(name, ddl string) string {
	read := ""
	if name == dialect.MySQL {
		read = "$1"
	}
	ddl = hint.ReplaceAllString(ddl, read)
	return strings.TrimLeft(position.ReplaceAllString(ddl, ""), "\n")
}
