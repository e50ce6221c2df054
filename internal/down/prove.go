package down

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

// Proven is what going up, back and up again showed of a file.
type Proven struct {
	Version string `json:"version"`
	Name    string `json:"name"`
	// ByHand is the file that holds its way back; empty if it was planned.
	ByHand string `json:"by_hand,omitempty"`
	// Rows is how many rows the tables held.
	Rows int `json:"rows"`
	// Skipped is set for a file that is not meant to go back: it says -- atlas:nolint irreversible.
	Skipped bool `json:"skipped,omitempty"`
	// Faults say why it does not go back; empty if it does.
	Faults []string `json:"faults"`
	// Empty are the tables into which no row could be put.
	Empty []string `json:"empty,omitempty"`
}

// Prove applies each file of a directory on dev, takes it back and applies it again, with rows in the tables that were
// there before it. After the way back the tables, their rows and the history have to be what they were, and after the
// second way up what they were after the first, but for the order of columns and indexes, and for the next ids. url is
// that of the database of dev. Each file is in the answer, in order, up to one that cannot be applied again.
func Prove(ctx context.Context, dev *planner.Dev, url string, dir directory.Dir) ([]Proven, error) {
	if err := directory.Validate(dir); err != nil {
		return nil, err
	}
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	end, err := planner.Inspect(ctx, dev, planner.Files(dir))
	if err != nil {
		return nil, err
	}
	m := &maker{dev: dev, dir: dir, files: files}
	p := &prover{dev: dev, url: url, dir: dir, all: make([]Proven, len(files)), ways: make([]*File, len(files))}
	p.listed = listedIn(end)
	for i, f := range files {
		p.all[i] = Proven{Version: f.Version(), Name: f.Name(), Faults: []string{}, Skipped: oneWay(f)}
		if p.all[i].Skipped {
			continue
		}
		way, err := m.file(ctx, &atlas.Revision{Version: f.Version()}, false)
		var none *Error
		switch {
		case errors.As(err, &none):
			p.all[i].Faults = append(p.all[i].Faults, none.Error())
		case err != nil:
			return nil, err
		default:
			p.ways[i], p.all[i].ByHand = way, way.ByHand
		}
	}
	p.rows = make([]filling, len(files))
	for from := 0; ; {
		_, err = dev.Replay(ctx, func() error {
			for i := range files {
				if err := p.prove(ctx, i, i >= from); err != nil {
					return err
				}
			}
			return nil
		})
		var refused *refusedRows
		if !errors.As(err, &refused) {
			break
		}
		// The file may be one that only other rows let pass.
		p.rows[refused.at]++
		from = refused.at
	}
	var stop *stopped
	if errors.As(err, &stop) {
		return p.all[:stop.at+1], nil
	}
	return p.all, err
}

// filling is which rows the tables hold before a file.
type filling int

const (
	// asTheyCome: those of the files before it, and two in each table that holds none.
	asTheyCome filling = iota
	// fullOnly: two with a value in each column, in each table.
	fullOnly
	// noRows: none.
	noRows
)

// refusedRows is a file that the rows which were made up do not let pass.
type refusedRows struct {
	at  int
	err error
}

func (e *refusedRows) Error() string { return "apply with rows in the tables: " + e.err.Error() }

func (e *refusedRows) Unwrap() error { return e.err }

// oneWay reports whether a file says that it does not go back.
func oneWay(f atlas.File) bool {
	d, ok := f.(interface{ Directive(name string) []string })
	if !ok {
		return false
	}
	return slices.ContainsFunc(d.Directive("nolint"), func(names string) bool {
		return slices.Contains(strings.Fields(names), "irreversible")
	})
}

// stopped ends a walk at a file whose way back failed half way.
type stopped struct{ at int }

func (e *stopped) Error() string { return "the walk stopped" }

// prover is one [Prove].
type prover struct {
	dev  *planner.Dev
	url  string
	dir  directory.Dir
	all  []Proven
	ways []*File
	// rows are those before each file.
	rows []filling
	// listed are the values that columns are to have once all files are applied, by TABLE.COLUMN.
	listed map[string]string
}

func (p *prover) up(ctx context.Context, version string) error {
	_, err := migrate.Apply(ctx, p.url, migrate.ApplyOptions{Dir: p.dir, To: version, AllowDirty: true})
	return err
}

// prove goes up, back and up again by file i, or only up.
func (p *prover) prove(ctx context.Context, i int, back bool) error {
	f := &p.all[i]
	if err := p.fill(ctx, f, p.rows[i]); err != nil {
		return err
	}
	before, err := p.look(ctx, nil)
	if err != nil {
		return err
	}
	if err := p.up(ctx, f.Version); err != nil {
		if p.rows[i] < noRows && ctx.Err() == nil {
			return &refusedRows{i, err}
		}
		return fmt.Errorf("apply without rows in the tables: %w", err)
	}
	if p.ways[i] == nil || !back {
		return nil
	}
	after, err := p.look(ctx, before)
	if err != nil {
		return err
	}
	_, err = migrate.Down(ctx, p.url, migrate.DownOptions{
		Dir: p.dir, Steps: []migrate.DownStep{{Version: f.Version, Statements: p.ways[i].Statements}},
	})
	if err != nil {
		return p.stop(ctx, i, err)
	}
	undone, err := p.look(ctx, nil)
	if err != nil {
		return err
	}
	if err := p.compare(f, before, undone, "after the way back"); err != nil {
		return err
	}
	if err := p.up(ctx, f.Version); err != nil {
		return p.stop(ctx, i, err)
	}
	again, err := p.look(ctx, before)
	if err != nil {
		return err
	}
	return p.compare(f, after, again, "after the second way up")
}

func (p *prover) stop(ctx context.Context, i int, err error) error {
	if ctx.Err() != nil {
		return err
	}
	p.all[i].Faults = append(p.all[i].Faults, err.Error())
	return &stopped{i}
}

// sight is what a database holds.
type sight struct {
	schema *schema.Schema
	// texts are the definitions and the rows of each table, and the history, by what they are.
	texts map[string]string
}

// counter is what the next row's number does to a definition.
var counter = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// look reads all that is compared. What the database itself put into a column that was not there before, such as the
// time, is left out.
func (p *prover) look(ctx context.Context, before *sight) (*sight, error) {
	s := &sight{texts: map[string]string{}}
	var err error
	if s.schema, err = p.dev.Now(ctx); err != nil {
		return nil, err
	}
	db := p.dev.DB()
	for _, t := range s.schema.Tables {
		if db.URL.Dialect != dialect.SQLite {
			create := ""
			err := db.Rows(ctx, "SHOW CREATE TABLE "+dbserver.Quote(t.Name), func(r []sql.NullString) {
				create = r[1].String
			})
			if err != nil {
				return nil, err
			}
			lines := strings.Split(counter.ReplaceAllString(create, ""), "\n")
			for i, l := range lines {
				lines[i] = strings.TrimSuffix(l, ",")
			}
			slices.Sort(lines)
			s.texts["the definition of "+t.Name] = strings.Join(lines, "\n")
		}
		var columns []string
		for _, c := range t.Columns {
			if before == nil || before.has(t.Name, c.Name) || !computed(c) {
				columns = append(columns, dbserver.Quote(c.Name))
			}
		}
		slices.Sort(columns)
		if len(columns) == 0 {
			continue
		}
		if s.texts["the rows of "+t.Name], err = rowsText(ctx, db, strings.Join(columns, ", "), t.Name); err != nil {
			return nil, err
		}
	}
	history, err := rowsText(ctx, db, "version, description, type, applied, total, hash", atlasdb.RevisionsTable)
	if err == nil {
		s.texts["the history"] = history
	}
	return s, nil
}

func rowsText(ctx context.Context, db *atlasdb.DB, columns, table string) (string, error) {
	var rows []string
	err := db.Rows(ctx, "SELECT "+columns+" FROM "+dbserver.Quote(table), func(r []sql.NullString) {
		var b strings.Builder
		for _, v := range r {
			fmt.Fprintf(&b, "%q %t ", v.String, v.Valid)
		}
		rows = append(rows, b.String())
	})
	slices.Sort(rows)
	return strings.Join(rows, "\n"), err
}

func (s *sight) has(table, column string) bool {
	t, ok := s.schema.Table(table)
	if ok {
		_, ok = t.Column(column)
	}
	return ok
}

// computed reports whether the database works out what it puts into a column.
func computed(c *schema.Column) bool {
	_, expression := c.Default.(*schema.RawExpr)
	return expression
}

// compare adds what differs to the faults of a file.
func (p *prover) compare(f *Proven, want, got *sight, when string) error {
	differ, err := p.dev.Differ(got.schema, want.schema)
	if err != nil {
		return err
	}
	for _, what := range slices.Sorted(maps.Keys(want.texts)) {
		if want.texts[what] != got.texts[what] {
			differ = append(differ, what)
		}
	}
	for what, text := range got.texts {
		if _, ok := want.texts[what]; !ok && text != "" {
			differ = append(differ, what)
		}
	}
	if len(differ) > 0 {
		slices.Sort(differ)
		f.Faults = append(f.Faults, when+" these are not what they were: "+strings.Join(slices.Compact(differ), ", "))
	}
	return nil
}
