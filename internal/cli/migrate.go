package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"
	"github.com/spf13/cobra"

	entmigrate "github.com/authgraph/authgraph/ent/migrate"
	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/entgraph"
	"github.com/authgraph/authgraph/internal/install"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

func newMigrate(a *app) *cobra.Command {
	m := &migrations{app: a}
	cmd := group(&cobra.Command{
		Use:   "migrate",
		Short: "Plan, check, apply and inspect migrations",
		Long: `Plan, check, apply and inspect versioned migrations.

The directory is in Atlas's format. It is the folder migrate (for SQLite
migrate/sqlite) if the current folder has one with an atlas.sum or SQL files, else
the project's if authgraph was installed into it, else the migrations compiled into
this program. Two cases are refused: the current folder lies inside a module that
has migrations of its own, or the database is of another kind than the migrations.

Commands that open no server need no URL if the project has migrations of one kind:
hash, new and validate, and for SQLite also check, diff and lint.`,
		Example: `  authgraph migrate diff add_phone
  authgraph migrate lint --git-base origin/main
  authgraph migrate apply`,
	})
	m.addDirFlag(cmd)
	cmd.AddCommand(newApply(m), newCheck(m), newDiff(m), newHash(m),
		newLint(m), newNew(m), newStatus(m), newValidate(m))
	return cmd
}

// migrations is what the commands below migrate share.
type migrations struct {
	*app
	devURL string
	to     string
}

// shellWord quotes a text where a shell would not take it as it is.
func shellWord(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

var plain = regexp.MustCompile(`^[\pL\pN_./:@%+=,-]+$`)

// addDirFlag adds it to a command and those below.
func (m *migrations) addDirFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&m.dirPath, "dir", "",
		"migration directory, a `path` or file://path (default migrate or migrate/sqlite, else the embedded one)")
}

func (m *migrations) addDevFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.devURL, "dev-url", "",
		"an empty database to work in, as a `URL` "+
			"(default a scratch database beside the one of --url, dropped afterwards)")
}

func (m *migrations) addToFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.to, "to", "",
		"the desired schema: a SQL `file`, or ent://folder of an Ent schema (default ent/schema.sql or "+
			"ent/schema.sqlite.sql, else ent://ent/schema, else the compiled-in schema)")
	_ = cmd.Flags().SetAnnotation("to", instead, []string{
		"write its schema into a file with authgraph inspect URL --out schema.sql, and name that",
	}) // it fails only for a flag that does not exist
}

// database is the address in use. Where none is named the error is errNoDatabase: any
// other would be one that is not meant.
func (a *app) database() (*dburl.URL, string, error) {
	raw := a.url
	if raw == "" {
		raw, a.urlFrom = os.Getenv(databaseURL), databaseURL
	}
	if raw == "" {
		return nil, "", errNoDatabase
	}
	u, err := dburl.Parse(raw)
	return u, raw, err
}

// databaseURL is the environment variable that names the database.
const databaseURL = "DATABASE_URL"

var errNoDatabase = errors.New("no database is named: set DATABASE_URL, " +
	"as in mysql://user:password@localhost:3306/app, or use --url (a file .env is not read)")

// engine is the dialect that the project in the current folder has migrations for; empty where that is not one.
func engine() (string, error) {
	var all, installed []string
	for _, name := range []string{dialect.MySQL, dialect.SQLite} {
		f, err := findFolders(name)
		if err != nil {
			return "", err
		}
		if f.above != nil && !f.hasMigrations() {
			f = *f.above
		}
		if f.hasMigrations() {
			all = append(all, name)
		}
		if f.installed {
			installed = append(installed, name)
		}
	}
	for _, found := range [][]string{installed, all} {
		if len(found) == 1 {
			return found[0], nil
		}
	}
	return "", nil
}

// migrationDir is the migration directory in use.
type migrationDir struct {
	directory.Dir
	// path is empty for the embedded one.
	path string
}

func (d migrationDir) String() string { return cmp.Or(d.path, embedded) }

// file is the path of a file of the directory.
func (d migrationDir) file(name string) string {
	return fromHere(filepath.Join(d.path, name))
}

// fromHere is a path relative to the current folder, as far as that is possible.
func fromHere(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	relative, err := filepath.Rel(here, path)
	if err != nil {
		return path
	}
	return relative
}

// directory opens the directory of --dir, or the default one for a dialect.
func (m *migrations) directory(name string) (migrationDir, error) {
	path := localPath(m.dirPath)
	if path == "" {
		f, err := findFolders(name)
		if err != nil {
			return migrationDir{}, err
		}
		if path = f.migrations; !f.hasMigrations() {
			if f.above != nil && f.above.hasMigrations() {
				return migrationDir{}, fmt.Errorf("%w, or name them with --dir %s",
					f.elsewhere("migrations"), shellWord(fromHere(f.above.migrations)))
			}
			if err := notEmbedded(name); err != nil {
				return migrationDir{}, err
			}
			embedded, err := migrate.Embedded(name)
			if err != nil {
				return migrationDir{}, err
			}
			dir, err := directory.Of(embedded)
			return migrationDir{Dir: dir}, err
		}
	}
	dir, err := directory.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: correct --dir, or make a new directory with mkdir", err)
	}
	return migrationDir{Dir: dir, path: path}, err
}

// notEmbedded is an error where the current folder has migrations, if not for the
// dialect: those compiled in are not meant there.
func notEmbedded(name string) error {
	other, kinds := dialect.MySQL, [2]string{"MySQL and MariaDB", "SQLite"}
	if name == dialect.MySQL {
		other, kinds = dialect.SQLite, [2]string{"SQLite", "MySQL or MariaDB"}
	}
	f, err := findFolders(other)
	if err != nil {
		return err
	}
	if f.above != nil && !f.hasMigrations() {
		f = *f.above
	}
	switch {
	case f.hasMigrations():
		return fmt.Errorf("the migrations of this project, in %s, are for %s, and the database is %s: "+
			"correct DATABASE_URL or --url, or name the directory with --dir",
			fromHere(f.migrations), kinds[0], kinds[1])
	case isFile("atlas.sum"):
		return errors.New("this folder is a directory of migrations itself: " +
			"name it with --dir ., or run this in the folder of go.mod")
	}
	return nil
}

// filled is an error for a directory without a migration, of which there is nothing to say.
func (a *app) filled(d migrationDir) error {
	files, err := d.Files()
	if err != nil || len(files) > 0 {
		return err
	}
	if err := directory.Validate(d.Dir); err != nil {
		return err
	}
	return fmt.Errorf("%s holds no migrations: plan the first with %s NAME, or correct --dir", d,
		a.command("migrate diff"))
}

// holdsMigrations reports whether a folder is meant to be a directory, although its atlas.sum may be lost or the folder
// locked, or nothing is in it yet but a .gitkeep, or its files are one folder deeper, as other tools have them. The
// folder sqlite is a directory of its own.
func holdsMigrations(path string) bool {
	entries, err := os.ReadDir(path)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	empty := true
	for _, e := range entries {
		files := []fs.DirEntry{e}
		if e.IsDir() && e.Name() != "sqlite" && e.Name() != "testdata" {
			files, _ = os.ReadDir(filepath.Join(path, e.Name())) // what is locked there is not known
		}
		if slices.ContainsFunc(files, isMigration) {
			return true
		}
		empty = empty && strings.HasPrefix(e.Name(), ".")
	}
	return empty
}

func isMigration(e fs.DirEntry) bool {
	return e.Name() == "atlas.sum" || strings.EqualFold(filepath.Ext(e.Name()), ".sql")
}

// writable is an error for the embedded directory, and for one whose atlas.sum lies elsewhere.
func (d migrationDir) writable(command string) error {
	if d.path != "" {
		sum := filepath.Join(d.path, "atlas.sum")
		if info, err := os.Lstat(sum); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s is a symbolic link, through which authgraph does not write: "+
				"put what it leads to in its place", sum)
		}
		return nil
	}
	return fmt.Errorf("the embedded migrations cannot be changed: run this where the folder migrate is, "+
		"or name a directory, as in: %s --dir path/to/migrations", command)
}

// localPath is the path that a file:// URL, as the Atlas CLI takes it, or a plain path means.
func localPath(s string) string {
	if u, err := url.Parse(s); err == nil && u.Scheme == "file" {
		return filepath.Join(u.Host, u.Path)
	}
	return s
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// desired is the schema that the directory is to lead to, and what it is called in messages.
func (m *migrations) desired(name string) (to planner.State, source string, err error) {
	if folder, ok := strings.CutPrefix(m.to, entScheme); ok {
		return entSchema(folder), m.to, nil
	}
	if path := localPath(m.to); path != "" {
		return planner.SQLFile(path), path, nil
	}
	f, err := findFolders(name)
	if err != nil {
		return nil, "", err
	}
	if to, source := f.schema(name); to != nil {
		return to, source, nil
	}
	if f.above != nil {
		if to, _ := f.above.schema(name); to != nil {
			return nil, "", f.elsewhere("a schema")
		}
	}
	if f.installed {
		return nil, "", fmt.Errorf("the schema of this project is missing, %s: "+
			"restore it from git, or name another with --to", filepath.Join(f.ent, "schema"))
	}
	return planner.Tables(entmigrate.Tables...), "compiled-in schema", nil
}

// folders are where a project has its Ent client and its migrations.
type folders struct {
	ent, migrations string
	// installed is whether they are those that authgraph installed into.
	installed bool
	// root and above are of the module that the current folder is inside of: what is
	// compiled into this program is not meant where that one has its own.
	root  string
	above *folders
}

// findFolders finds the folders of the project in the current folder for a dialect.
func findFolders(name string) (folders, error) {
	f, err := foldersOf(".", name)
	var inside *install.FolderError
	switch {
	case errors.As(err, &inside):
		above, err := foldersOf(inside.Root, name)
		f.root, f.above = inside.Root, &above
		return f, err
	case errors.Is(err, install.ErrNoModule):
		return f, nil
	}
	return f, err
}

func foldersOf(root, name string) (folders, error) {
	p, err := install.Open(root)
	dir, migrations, installed := "ent", "migrate", false
	switch {
	case p.DB() != "" && (p.DB() == "sqlite") == (name == dialect.SQLite):
		dir, migrations, installed = p.Dir(), p.Migrations(), true
	case name == dialect.SQLite:
		migrations = "migrate/sqlite"
	}
	f := folders{
		ent:        filepath.Join(root, filepath.FromSlash(dir)),
		migrations: filepath.Join(root, filepath.FromSlash(migrations)),
		installed:  installed,
	}
	if err := f.held(root); err != nil {
		return folders{}, err
	}
	return f, err
}

// held is an error where a symbolic link, which may have come with the module, leads from the folders out of it.
func (f folders) held(root string) error {
	names := []string{f.ent, filepath.Join(f.ent, "schema"), f.migrations}
	for _, pattern := range []string{filepath.Join(f.ent, "schema*.sql"), filepath.Join(f.migrations, "*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	files, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer files.Close()
	for _, name := range names {
		inside, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if _, err := os.Stat(name); err != nil {
			continue
		}
		if _, err := files.Stat(inside); err != nil {
			return fmt.Errorf("%s leads out of the module by a symbolic link, and is not read: "+
				"put what it leads to in its place, or name that with --dir or --to", fromHere(name))
		}
	}
	return nil
}

func (f folders) hasMigrations() bool { return f.installed || holdsMigrations(f.migrations) }

// schema is the one that the folder of the Ent client holds, and what it is called in messages; nil if it holds none.
func (f folders) schema(name string) (to planner.State, source string) {
	file := "schema.sql"
	if name == dialect.SQLite {
		file = "schema.sqlite.sql"
	}
	if path := filepath.Join(f.ent, file); isFile(path) {
		return planner.SQLFile(path), path
	}
	if folder := filepath.Join(f.ent, "schema"); entgraph.HoldsGo(folder) {
		return entSchema(folder), entScheme + filepath.ToSlash(folder)
	}
	return nil, ""
}

// elsewhere refuses to take what is compiled in for what the module above has.
func (f folders) elsewhere(what string) error {
	return fmt.Errorf("this is a folder of the module in %s, which has %s of its own: run it there", f.root, what)
}

// entScheme is how the folder of an Ent schema is named, as the Atlas CLI has it.
const entScheme = "ent://"

// entSchema is the state described by the Ent schema in the Go files of a folder.
func entSchema(folder string) planner.State {
	folder = filepath.FromSlash(folder)
	return func(ctx context.Context, d *planner.Dev) (*schema.Schema, error) {
		sql, err := entgraph.Load(ctx, folder, d.Dialect())
		if err != nil {
			return nil, err
		}
		return planner.SQL(folder, sql)(ctx, d)
	}
}

// workshop is the database in which a directory is tried out. Unless --dev-url
// names one it is a scratch database that lives as long as the command.
type workshop struct {
	dialect string
	name    string
	open    func(context.Context) (*planner.Dev, error)
}

func (m *migrations) workshop() (*workshop, error) {
	if m.devURL != "" {
		m.urlFrom = "--dev-url"
		u, err := dburl.Parse(m.devURL)
		if err != nil {
			return nil, err
		}
		open := func(ctx context.Context) (*planner.Dev, error) { return planner.OpenDev(ctx, m.devURL) }
		return &workshop{dialect: u.Dialect, name: u.String(), open: open}, nil
	}
	u, raw, err := m.database()
	if errors.Is(err, errNoDatabase) {
		of, err := engine()
		if err != nil {
			return nil, err
		}
		if of != dialect.SQLite {
			return nil, fmt.Errorf("%w; the work is done in a scratch database beside it, "+
				"or in an empty one named with --dev-url", errNoDatabase)
		}
		open := func(ctx context.Context) (*planner.Dev, error) { return planner.Scratch(ctx, "sqlite://dev.db") }
		return &workshop{dialect: of, name: "scratch SQLite file", open: open}, nil
	}
	if err != nil {
		return nil, err
	}
	name := "scratch SQLite file"
	if u.Dialect != dialect.SQLite {
		name = "scratch database on " + u.WithDatabase("").String()
	}
	open := func(ctx context.Context) (*planner.Dev, error) { return planner.Scratch(ctx, raw) }
	return &workshop{dialect: u.Dialect, name: name, open: open}, nil
}

// use opens the database for fn and closes it, whatever happens.
func (w *workshop) use(ctx context.Context, fn func(*planner.Dev) error) (err error) {
	dev, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	return fn(dev)
}

// prepare finds the workshop and the directory and names both.
func (m *migrations) prepare() (*workshop, migrationDir, source, error) {
	w, err := m.workshop()
	if err != nil {
		return nil, migrationDir{}, source{}, err
	}
	dir, err := m.directory(w.dialect)
	if err != nil {
		return nil, migrationDir{}, source{}, err
	}
	return w, dir, source{Database: w.name, Directory: dir.String()}, nil
}
