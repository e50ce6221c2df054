package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/planner"
)

// schemaSources is how the help of a command explains its arguments.
const schemaSources = `A SOURCE is one of these:

  schema          the schema of the code: ent/schema.sql or ent/schema.sqlite.sql
                  where there is one, else the Go files in ent/schema, else the
                  schema compiled into this program
  migrate         what the migrations lead to: the folder migrate, for SQLite
                  migrate/sqlite, else the migrations compiled into this program
  ent://FOLDER    the Go files of an Ent schema
  PATH            what another directory of migrations, or an SQL file, leads to
                  (file://PATH where the name would mean something else)
  -               what the SQL on standard input leads to
  a database URL  the tables of a database in use, which is only read; the table
                  of the migration history is left out

Migrations and files are run in a scratch database beside the one of --url, so that
database decides between MySQL, MariaDB and SQLite. Without --url and DATABASE_URL
the scratch database is beside the database that is named.`

// schemaSource is a schema as the command line names it.
type schemaSource struct {
	// name is the file, the directory, or the address without its password, for messages.
	name string
	// live is the URL of a database in use; empty for all others.
	live string
	url  *dburl.URL
	arg  string
}

// The kinds of a source, as a page names them.
const (
	kindLive      = "live database"
	kindEnt       = "Ent schema"
	kindFile      = "SQL file"
	kindDirectory = "migrations"
)

func (s schemaSource) kind() string {
	switch {
	case s.live != "":
		return kindLive
	case s.name == compiledIn || strings.HasPrefix(s.name, entScheme):
		return kindEnt
	case s.arg == fromInput, isFile(s.name):
		return kindFile
	default:
		return kindDirectory
	}
}

// title is what a page that is passed on calls the source: neither the host nor the user of a database.
func (s schemaSource) title() string {
	switch {
	case s.live != "":
		return filepath.Base(s.url.Database())
	case s.name == compiledIn:
		return "authgraph"
	case s.arg == "migrate" && s.name == embedded:
		return "authgraph"
	default:
		return strings.TrimPrefix(s.name, entScheme)
	}
}

// path is the file or the folder of the source; empty for those that are none, and for the migrations in use.
func (s schemaSource) path() string {
	if s.live != "" || s.name == compiledIn || s.arg == "migrate" || s.arg == fromInput {
		return ""
	}
	return filepath.FromSlash(strings.TrimPrefix(s.name, entScheme))
}

// fromInput names standard input where a file of SQL can be named, and inputName is what messages call it.
const (
	fromInput = "-"
	inputName = "standard input"
)

// inputSchema is what the SQL of standard input leads to.
func inputSchema(ctx context.Context, dev *planner.Dev) (*schema.Schema, error) {
	type input struct {
		text []byte
		err  error
	}
	inputs := make(chan input, 1)
	go func() {
		text, err := io.ReadAll(os.Stdin)
		inputs <- input{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case in := <-inputs:
		if in.err != nil {
			return nil, fmt.Errorf("read %s: %w", inputName, in.err)
		}
		return planner.SQL(inputName, string(in.text))(ctx, dev)
	}
}

// errSource does not repeat what was given: it may be an address that holds a password.
var errSource = errors.New("unknown source: it is schema, migrate, ent://folder, the path of a directory or an " +
	"SQL file, or a database URL such as mysql://user:password@host:3306/app")

// checkSources refuses arguments that name no source of any kind.
func checkSources(args []string) error {
	if slices.Equal(args, []string{fromInput, fromInput}) {
		return errors.New("standard input is read once: name one of the two in another way")
	}
	for _, arg := range args {
		if _, isPath := sourcePath(arg); ofProject(arg) || isPath || arg == fromInput {
			continue
		}
		var bad *dburl.Error
		if _, err := dburl.Parse(arg); errors.As(err, &bad) && bad.Part == dburl.PartURL {
			return errSource
		}
	}
	return nil
}

// ofProject reports whether an argument is one of the schemas of the project.
func ofProject(arg string) bool {
	return arg == "schema" || arg == "migrate" || strings.HasPrefix(arg, entScheme)
}

// sourcePath is the path that an argument names: by file://, or as that of something that is there.
func sourcePath(arg string) (path string, ok bool) {
	if path := localPath(arg); path != arg {
		return path, true
	}
	_, err := os.Stat(arg)
	return arg, err == nil || missingFile.MatchString(arg)
}

// missingFile matches what can only be the path of a file: no address has such an end, and no password is in it.
var missingFile = regexp.MustCompile(`^[^:@?]+\.sql$`)

// schemaSource reads an argument. What it means for a dialect is decided by state.
func (m *migrations) schemaSource(arg string) (schemaSource, error) {
	s := schemaSource{name: arg, arg: arg}
	if ofProject(arg) {
		return s, nil
	}
	if arg == fromInput {
		s.name = inputName
		return s, nil
	}
	if path, ok := sourcePath(arg); ok {
		s.name = path
		return s, readableSource(path)
	}
	u, err := dburl.Parse(arg)
	if err != nil {
		return s, err
	}
	s.live, s.url, s.name = arg, u, u.String()
	return s, u.NeedDatabase()
}

// readableSource is an error if there is no directory and no SQL file at path.
func readableSource(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory or file %s: correct the path", path)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()     // it was only read
	const header = "SQLite format 3\x00" // https://www.sqlite.org/fileformat.html#the_database_header
	begin := make([]byte, len(header))
	if n, _ := f.Read(begin); string(begin[:n]) == header {
		return fmt.Errorf("%s is a SQLite database, not an SQL file: name it as sqlite://%[1]s", path)
	}
	return nil
}

// state is the source on a database of the given dialect. It gives the source the name of what it found.
func (m *migrations) state(s *schemaSource, dialect string) (planner.State, error) {
	switch {
	case s.live != "":
		return planner.Database(s.live), nil
	case s.arg == "schema":
		to, name, err := m.desired(dialect)
		s.name = name
		return to, err
	case strings.HasPrefix(s.arg, entScheme):
		return entSchema(strings.TrimPrefix(s.arg, entScheme)), nil
	case s.arg == "migrate":
		dir, err := m.directory(dialect)
		s.name = dir.String()
		return planner.Files(dir), err
	case s.arg == fromInput:
		return inputSchema, nil
	case isFile(s.name):
		return planner.SQLFile(s.name), nil
	default:
		dir, err := directory.Open(s.name)
		return planner.Files(dir), err
	}
}

// bench is the workshop for the schemas of the sources. Databases in use need none, unless files are replayed too.
func (m *migrations) bench(sources []schemaSource, replays bool) (*workshop, error) {
	var live *schemaSource
	for i, s := range sources {
		if s.live == "" {
			replays = true
			continue
		}
		if live != nil && live.url.Dialect != s.url.Dialect {
			return nil, fmt.Errorf("%s cannot be compared with %s: they are databases of different kinds", live.name,
				s.name)
		}
		live = &sources[i]
	}
	switch {
	case live == nil:
		return m.workshop()
	case !replays:
		return &workshop{live.url.Dialect, live.name, live.live, planner.OpenLive}, nil
	case m.url == "" && m.devURL == "" && os.Getenv(databaseURL) == "":
		beside := *m.app
		beside.url = live.live
		return (&migrations{app: &beside}).workshop()
	}
	w, err := m.workshop()
	if err != nil {
		return nil, err
	}
	if w.dialect != live.url.Dialect {
		return nil, fmt.Errorf("%s cannot be compared with what is worked out on a %s: name a database of its kind "+
			"with --url, or an empty one with --dev-url", live.name, w.name)
	}
	return w, nil
}

// writeFile replaces a file, whole or not at all.
func writeFile(path string, content []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("--out %s cannot be written: %w", path, err)
		}
	}()
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() {
			return errors.New("it is not a file")
		}
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".authgraph-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to report
	}
	return err
}
