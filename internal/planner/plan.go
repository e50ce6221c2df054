package planner

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
)

// Plan is a migration that is planned but not written.
type Plan struct {
	// File is the name it will have in the directory.
	File string `json:"file"`
	// SQL is its content.
	SQL string `json:"sql"`
	// Destructive describes each change that loses data.
	Destructive []string `json:"destructive,omitempty"`

	dir directory.Dir
}

// Write adds the file to the directory and updates the checksums.
func (p *Plan) Write() error {
	return directory.Write(p.dir, p.File, []byte(p.SQL))
}

// plan turns the changes between two schemas into statements, and names what it has none for. They are tried first,
// unless the database is in use: none is given out that the server refuses. Where Atlas's are refused, or do not lead
// there, they are planned with the server's own words.
func (d *Dev) plan(
	ctx context.Context, name string, changes []schema.Change, have, want *schema.Schema,
) (*atlas.Plan, []string, error) {
	if !slices.ContainsFunc(changes, worded) {
		plan, err := d.db.Driver.PlanChanges(ctx, name, changes, deferred, unqualified)
		if err != nil {
			return nil, nil, fmt.Errorf("plan the changes: %w", err)
		}
		plan.Name = name
		prepare(plan, changes, d.Dialect() == dialect.SQLite)
		if len(plan.Changes) == 0 || d.live && !newWriter(d.rewrites(have, want), have).held {
			return plan, nil, nil
		}
		if d.live {
			return d.planWorded(ctx, name, d.rewrites(have, want), have, want)
		}
		fault, rest, err := d.try(ctx, plan, have, want)
		if err != nil || fault == nil && len(rest) == 0 {
			return plan, nil, err
		}
		of := changes
		changes = slices.DeleteFunc(d.rewrites(have, want), func(c schema.Change) bool {
			return !slices.ContainsFunc(of, func(o schema.Change) bool { return tableIn(o) == tableIn(c) })
		})
	}
	return d.planWorded(ctx, name, changes, have, want)
}

// planWorded leaves out the changes of a table for which a statement is refused.
func (d *Dev) planWorded(
	ctx context.Context, name string, changes []schema.Change, have, want *schema.Schema,
) (plan *atlas.Plan, unplanned []string, err error) {
	given := map[string]bool{} // up
	for {
		w := newWriter(changes, have)
		plan = w.plan(name)
		prepare(plan, changes, d.Dialect() == dialect.SQLite)
		if d.live || len(plan.Changes) == 0 {
			return plan, append(unplanned, w.unplanned...), nil
		}
		fault, rest, err := d.try(ctx, plan, have, want)
		if err != nil {
			return nil, nil, err
		}
		if fault != nil && !given[fault.table] {
			unplanned = append(unplanned, fault.Error())
			given[fault.table] = true
			changes = slices.DeleteFunc(changes, func(c schema.Change) bool { return tableIn(c) == fault.table })
			continue
		}
		for _, c := range rest {
			if table := tableIn(c); !given[table] {
				unplanned = append(unplanned, fmt.Sprintf("table %q: the statements do not lead to all of it", table))
			}
		}
		return plan, append(unplanned, w.unplanned...), nil
	}
}

// worded reports whether a change is planned with the server's own words.
func worded(c schema.Change) bool {
	switch c := c.(type) {
	case *rewrite:
		return true
	case *schema.AddTable:
		return !legible(c.T)
	case *schema.DropTable:
		return !legible(c.T)
	}
	return false
}

// tableIn is the table that a change is about.
func tableIn(c schema.Change) string {
	switch c := c.(type) {
	case *rewrite:
		return c.to.Name
	case *schema.AddTable:
		return c.T.Name
	case *schema.DropTable:
		return c.T.Name
	case *schema.ModifyTable:
		return c.T.Name
	}
	return ""
}

// refusal is a statement that the server refuses.
type refusal struct{ table, text string }

func (r *refusal) Error() string {
	return fmt.Sprintf("table %q: the server refuses its statement: %s", r.table, r.text)
}

// try makes the schema have and executes the plan. The rest is what then separates it from the schema want.
func (d *Dev) try(
	ctx context.Context, plan *atlas.Plan, have, want *schema.Schema,
) (fault *refusal, rest []schema.Change, err error) {
	got, err := d.Replay(ctx, func() error {
		if err := d.build(ctx, have); err != nil {
			return err
		}
		for _, c := range plan.Changes {
			if _, err := d.db.Conn.ExecContext(ctx, c.Cmd); err != nil {
				own := d.db.URL.Database()
				fault = &refusal{
					text: strings.NewReplacer(own+".", "", dbserver.Quote(own)+".", "").Replace(err.Error()),
				}
				if c.Source != nil {
					fault.table = tableIn(c.Source)
				}
				return err
			}
		}
		return nil
	})
	if fault != nil && ctx.Err() == nil {
		return fault, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("try the plan: %w", err)
	}
	dropState(got)
	rest, err = d.compare(got, want)
	return nil, rest, err
}

// build makes a schema in the empty database, with what SQLite says of its views and triggers.
func (d *Dev) build(ctx context.Context, s *schema.Schema) error {
	lite := d.Dialect() == dialect.SQLite
	var before, after string
	if !lite {
		before = "SET foreign_key_checks = 0, sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'"
		after = "SET sql_mode = DEFAULT, " + atlasdb.ChecksOn
	}
	stmts := []string{before}
	for _, c := range creation(s).plan("").Changes {
		stmts = append(stmts, c.Cmd)
	}
	for _, o := range NotCovered(s) {
		if lite {
			stmts = append(stmts, o.sql)
		}
	}
	if err := d.strictly(ctx, "OFF"); err != nil {
		return err
	}
	for _, stmt := range append(stmts, after) {
		if stmt == "" {
			continue
		}
		if _, err := d.db.Conn.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	return d.strictly(ctx, "DEFAULT")
}

// strictly sets what a table may have been made without. A server has not all of it, and may want a right for it.
func (d *Dev) strictly(ctx context.Context, value string) error {
	if d.Dialect() == dialect.SQLite {
		return nil
	}
	for _, name := range []string{"innodb_strict_mode", "restrict_fk_on_non_standard_key"} {
		_, err := d.db.Conn.ExecContext(ctx, "SET "+name+" = "+value)
		if err != nil && !dbserver.IsServers(err) {
			return err
		}
	}
	return nil
}

// creation are the statements that make a schema in an empty database.
func creation(s *schema.Schema) *writer {
	var adds []schema.Change
	for _, t := range s.Tables {
		adds = append(adds, &schema.AddTable{T: t})
	}
	w := newWriter(adds, schema.New(s.Name))
	for _, o := range NotCovered(s) {
		if o.Kind == "sequence" && o.printed {
			w.before = append(w.before, statement("create sequence %q", o.Name, o.sql))
		}
	}
	return w
}

var (
	// zeroDate is a default that a strict server refuses in any statement about its table.
	zeroDate = regexp.MustCompile(`DEFAULT ['"]\d{4}-(?:00|\d\d-00)`)
	// noDate is a default that servers take for no date; February 29 depends on the year.
	noDate = regexp.MustCompile(`DEFAULT ['"]\d{4}-(?:02-(?:29|3[01])|(?:0[469]|11)-31)`)
	// lax are options of an InnoDB table that it ignores, or refuses if it is strict.
	lax = regexp.MustCompile(`\) ENGINE=InnoDB[^\n]* ` +
		`(?:ROW_FORMAT=(?:FIXED|PAGE|(?:DYNAMIC|COMPACT|REDUNDANT) KEY_BLOCK_SIZE=)|` +
		`KEY_BLOCK_SIZE=(?:3|[5-7]|9|1[0-57-9]|[2-9]\d|\d{3,})\b)`)
	// instant is a default that depends on the time zone of the session.
	instant = regexp.MustCompile(`\btimestamp(?:\(\d\))?[^,\n]* DEFAULT ['"][1-9]`)
)

// prepare begins a plan with what the session has to be set to for it.
func prepare(plan *atlas.Plan, changes []schema.Change, lite bool) {
	if lite || len(plan.Changes) == 0 {
		return
	}
	has := func(re *regexp.Regexp) bool {
		return slices.ContainsFunc(plan.Changes, func(c *atlas.Change) bool { return re.MatchString(c.Cmd) })
	}
	var first []*atlas.Change
	// A statement that changes a table is refused for what the table was before, too.
	had := func(re *regexp.Regexp) bool {
		return has(re) || slices.ContainsFunc(changes, func(c schema.Change) bool {
			r, ok := c.(*rewrite)
			return ok && slices.ContainsFunc([]*definition{definitionOf(r.from), definitionOf(r.to)},
				func(d *definition) bool { return d != nil && re.MatchString(d.sql) })
		})
	}
	if had(zeroDate) {
		allow := "SET sql_mode = REPLACE(REPLACE(@@sql_mode, 'NO_ZERO_IN_DATE', ''), 'NO_ZERO_DATE', '')"
		first = append(first, &atlas.Change{Cmd: allow, Comment: "allow dates of zeros"})
	}
	if had(noDate) {
		allow := "SET sql_mode = CONCAT(@@sql_mode, ',ALLOW_INVALID_DATES')"
		first = append(first, &atlas.Change{Cmd: allow, Comment: "allow dates that are in no calendar"})
	}
	if had(lax) {
		allow := "SET innodb_strict_mode = OFF"
		first = append(first, &atlas.Change{Cmd: allow, Comment: "allow options that InnoDB ignores"})
	}
	if has(instant) {
		first = append(first, &atlas.Change{Cmd: "SET time_zone = '+00:00'", Comment: "read times as UTC"})
	}
	plan.Changes = append(first, plan.Changes...)
}

// deferred has Atlas print files.
func deferred(o *atlas.PlanOptions) { o.Indent, o.Mode = "  ", atlas.PlanModeDeferred }

// unqualified leaves the name of the database out of statements: they run in whichever one the connection is to.
func unqualified(o *atlas.PlanOptions) { o.SchemaQualifier = new(string) }

// format is the file of a plan that holds changes.
func format(plan *atlas.Plan) (string, error) {
	files, err := atlas.DefaultFormatter.Format(plan)
	if err != nil {
		return "", fmt.Errorf("format the plan: %w", err)
	}
	return string(files[0].Bytes()), nil
}

// destructive describes the changes that lose data.
func destructive(changes []schema.Change) []string {
	var lost []string
	for _, c := range changes {
		switch c := c.(type) {
		case *schema.DropTable:
			lost = append(lost, fmt.Sprintf("drops table %q", c.T.Name))
		case *rewrite:
			for _, e := range c.edits {
				switch {
				case e.object == isColumn && (e.want == "" || e.derived && computed(e.have) == ""):
					lost = append(lost, fmt.Sprintf("drops column %q of table %q", e.name, c.to.Name))
				case e.name == versioning && e.want == "":
					lost = append(lost, fmt.Sprintf("drops the history of table %q", c.to.Name))
				}
			}
		case *schema.ModifyTable:
			for _, sub := range c.Changes {
				if d, ok := sub.(*schema.DropColumn); ok {
					lost = append(lost, fmt.Sprintf("drops column %q of table %q", d.C.Name, c.T.Name))
				}
			}
		}
	}
	return lost
}
