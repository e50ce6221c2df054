package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	entmigrate "github.com/authgraph/authgraph/ent/migrate"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/queryplan"
	"github.com/authgraph/authgraph/internal/registry"
	"github.com/authgraph/authgraph/internal/schemadoc"
)

var flavours = map[string]string{
	atlasdb.FlavourMySQL:   "MySQL",
	atlasdb.FlavourMariaDB: "MariaDB",
	atlasdb.FlavourSQLite:  "SQLite",
}

// record is a directory of migrations beside a page, and what is known of the two.
type record struct {
	// dir is nil where there is none, for which err may be the reason.
	dir *migrationDir
	err error
	// needed is set if the page is not to be written without it: it is the source, or --dir names it.
	needed bool
	// own is set if the directory is the source, or that of the project whose schema is the source.
	own bool
}

// record finds the directory whose migrations may have made a schema.
func (m *migrations) record(src schemaSource, dialect string) record {
	needed := src.arg == "migrate" || m.dirPath != ""
	if src.kind() == kindDirectory && src.path() != "" {
		dir, err := directory.Open(src.path())
		return record{dir: &migrationDir{Dir: dir, path: src.path()}, err: err, needed: true, own: true}
	}
	dir, err := m.directory(dialect)
	if err != nil {
		return record{err: err, needed: needed}
	}
	own := src.arg == "migrate" || src.name == compiledIn
	if f, err := findFolders(dialect); err == nil && dir.path != "" {
		own = own || src.arg == "schema" || src.path() != "" && within(f.ent, src.path())
	}
	return record{dir: &dir, needed: needed, own: own}
}

// within reports whether a path is that of a folder or of something in it.
func within(folder, path string) bool {
	folder, err := filepath.Abs(folder)
	path, err2 := filepath.Abs(path)
	if errors.Join(err, err2) != nil {
		return false
	}
	inside, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(inside)
}

// page is the HTML page of a schema that was read with dev.
func (m *migrations) page(
	ctx context.Context, dev *planner.Dev, src schemaSource, r record, s *schema.Schema, doc *schemadoc.Schema,
) ([]byte, error) {
	version, err := databaseVersion(ctx, dev)
	if err != nil {
		return nil, err
	}
	p := schemadoc.Page{
		Title:    src.title(),
		Source:   src.kind(),
		Database: flavours[dev.Flavour()],
		Release:  version,
		Version:  readVersions().Authgraph,
		Schema:   doc,
	}
	for _, o := range planner.NotCovered(s) {
		p.NotCovered = append(p.NotCovered, o.String())
	}
	users, err := usersTable("")
	if err != nil {
		return nil, err
	}
	if isOurs(s, users) {
		if p.Queries, err = queries(users, doc); err != nil {
			return nil, err
		}
	}
	if err = r.err; err == nil {
		err = m.addPast(ctx, dev, src, r, s, &p)
	}
	if err != nil {
		if r.needed || ctx.Err() != nil {
			return nil, err
		}
		p.Changes, p.Directory = nil, ""
		p.Notes = []string{"Migrations are not shown: " + err.Error() + "."}
	}
	for _, note := range p.Notes {
		fmt.Fprintln(m.info, "note:", note)
	}
	return schemadoc.HTML(p)
}

// isOurs reports whether package auth runs on a schema: it holds each of its tables with each of its columns. The name
// of a table alone says nothing.
func isOurs(s *schema.Schema, users *registry.Users) bool {
	for _, t := range entmigrate.Tables {
		have, ok := s.Table(users.Of(t.Name))
		if !ok {
			return false
		}
		for _, c := range t.Columns {
			name := c.Name
			if have.Name == users.Table() {
				name = users.Column(name)
			}
			if _, ok := have.Column(name); !ok && name != "" {
				return false
			}
		}
	}
	return true
}

var (
	ofUsers = regexp.MustCompile(`\bu\.(\w+)`)
	oneWord = regexp.MustCompile(`\w+`)
)

// queries are the statements of package auth under the names of a project's users. What asks for a column that they
// lack is not sent.
func queries(users *registry.Users, doc *schemadoc.Schema) (all []queryplan.Query, err error) {
	all, err = queryplan.All()
	if err != nil || users == nil {
		return all, err
	}
	own := registry.Table(user.Table)
	index := func(name string) string {
		for _, i := range own.Indexes {
			var columns []string
			for _, c := range i.Columns {
				columns = append(columns, users.Column(c.Name))
			}
			if strings.HasSuffix(name, i.Name) {
				return indexOn(doc, users.Table(), columns)
			}
		}
		// That of the unique address, whatever the engine calls it.
		return indexOn(doc, users.Table(), []string{users.Column(user.FieldEmail)})
	}
	var sent []queryplan.Query
	for _, q := range all {
		names, lacks := ofUsers, false
		if !strings.Contains(q.SQL, user.Table+" AS u") && strings.Contains(q.SQL, " "+user.Table+" ") {
			names = oneWord
		}
		q.SQL = names.ReplaceAllStringFunc(q.SQL, func(word string) string {
			name := strings.TrimPrefix(word, "u.")
			if !own.HasColumn(name) {
				return word
			}
			lacks = lacks || users.Column(name) == ""
			return strings.TrimSuffix(word, name) + users.Column(name)
		})
		if lacks {
			continue
		}
		q.SQL = oneWord.ReplaceAllStringFunc(q.SQL, users.Of)
		for _, plan := range []*[]queryplan.Access{&q.Server, &q.SQLite} {
			*plan = slices.Clone(*plan)
			for i, a := range *plan {
				if a.Table != user.Table {
					continue
				}
				if (*plan)[i].Table = users.Table(); !a.IsPrimary() && a.Index != "" {
					(*plan)[i].Index = index(a.Index)
				}
			}
		}
		sent = append(sent, q)
	}
	return sent, nil
}

// indexOn is the name of the index on just these columns; empty if there is none.
func indexOn(doc *schemadoc.Schema, table string, columns []string) string {
	for _, t := range doc.Tables {
		for _, i := range t.Indexes {
			var parts []string
			for _, p := range i.Parts {
				parts = append(parts, p.Column)
			}
			if t.Name == table && slices.Equal(parts, columns) {
				return i.Name
			}
		}
	}
	return ""
}

func databaseVersion(ctx context.Context, dev *planner.Dev) (version string, err error) {
	query := "SELECT VERSION()"
	if dev.Dialect() == dialect.SQLite {
		query = "SELECT sqlite_version()"
	}
	if err := dev.DB().Conn.QueryRowContext(ctx, query).Scan(&version); err != nil {
		return "", err
	}
	// A server adds words to its number.
	if number := dbserver.Parse(version, "").Version; number != (dbserver.Version{}) {
		version = number.String()
	}
	return version, nil
}

// note adds what the reader of a page has to know.
func note(p *schemadoc.Page, format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// addPast adds the migrations to a page, as far as they are known to be those of its schema. Every directory can be
// replayed, and a table of any project may be named users: what counts is that the directory belongs to the source,
// that the database says it applied just these files, or that they lead to the very same table.
func (m *migrations) addPast(
	ctx context.Context, dev *planner.Dev, src schemaSource, r record, s *schema.Schema, p *schemadoc.Page,
) error {
	var revs []*atlas.Revision
	if src.live != "" {
		store, err := history.Of(dev.DB(), m.revisionsSchema)
		if err != nil {
			return err
		}
		if revs, err = store.Read(ctx); err != nil {
			return err
		}
	}
	version := ""
	if len(revs) > 0 {
		err := history.Verify(r.dir, revs)
		var differs *history.Error
		if errors.As(err, &differs) {
			note(p, "Migrations are not shown: this database was not made by those in %s: %s.", r.dir, differs.Found())
			return nil
		}
		if err != nil {
			return err
		}
		if version, err = applied(*r.dir, revs, p); err != nil || version == "" {
			return err
		}
		r.own = true
	}
	replay := func(dev *planner.Dev) error { return addChanges(ctx, dev, r, version, s, p) }
	if src.live == "" {
		return replay(dev)
	}
	w, err := m.bench([]schemaSource{src}, true)
	if err != nil {
		return err
	}
	return w.use(ctx, func(dev *planner.Dev) error {
		if is := flavours[dev.Flavour()]; is != p.Database {
			return fmt.Errorf("this is a %s, and the scratch database is one of %s: "+
				"name an empty one of its kind with --dev-url", p.Database, is)
		}
		return replay(dev)
	})
}

// applied is the last version that a database applied wholly; empty if there is none. What that leaves out is noted.
func applied(dir migrationDir, revs []*atlas.Revision, p *schemadoc.Page) (string, error) {
	pending, err := history.Pending(dir, revs)
	if err != nil {
		return "", err
	}
	if first := revs[0]; first.Type == atlas.RevisionTypeBaseline {
		note(p, "The migrations up to %s were taken as applied, not run, in this database.", history.FileOf(first))
	}
	last := revs[len(revs)-1]
	version := last.Version
	if last.Applied < last.Total {
		note(p, "%s is half applied (%d of %d statements) and not shown.", history.FileOf(last), last.Applied,
			last.Total)
		version, pending = "", pending[1:]
		if len(revs) > 1 {
			version = revs[len(revs)-2].Version
		}
	}
	if n := len(pending); n > 0 {
		note(p, "Not applied to this database yet: %s of %s, from %s on.", english.Count(n, "migration"), dir,
			pending[0].Name())
	}
	return version, nil
}

// addChanges replays the directory, up to a version, and adds what made the tables of the schema.
func addChanges(
	ctx context.Context, dev *planner.Dev, r record, version string, s *schema.Schema, p *schemadoc.Page,
) error {
	past, err := planner.PastOf(ctx, dev, r.dir, version)
	if err != nil {
		return err
	}
	made, err := past.Made(dev, s)
	if err != nil {
		return err
	}
	for _, c := range past.Changes {
		if r.own || slices.Contains(made, c.Table) {
			p.Changes = append(p.Changes, schemadoc.Change{Table: c.Table, File: c.File, Line: c.Line, SQL: c.Stmt})
		}
	}
	if r.own || len(made) > 0 {
		p.Directory = r.dir.String()
	}
	var others []string
	for _, t := range s.Tables {
		if _, ok := past.End.Table(t.Name); ok && !slices.Contains(made, t.Name) {
			others = append(others, t.Name)
		}
	}
	switch list := strings.Join(others, ", "); {
	case list == "":
	case r.own:
		note(p, "Not as the migrations in %s leave them: %s.", r.dir, list)
	case r.dir.path != "": // what is compiled in was not asked for
		note(p, "The migrations in %s make other tables of these names: %s.", r.dir, list)
	}
	return nil
}
