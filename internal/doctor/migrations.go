package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/migrate"
)

// status is how far the database has followed the directory.
type status struct {
	*migrate.Status
	// err is how the two disagree.
	err error
}

func checkMigrations(ctx context.Context, d *database) ([]Finding, error) {
	if d.Unversioned {
		return d.unversioned(ctx), nil
	}
	s, err := migrate.ReadStatus(ctx, d.raw, migrate.StatusOptions{Dir: d.Dir, RevisionsSchema: d.RevisionsSchema})
	var useless *directory.Error
	var unreadable *fs.PathError
	if errors.As(err, &useless) && !errors.As(err, &unreadable) {
		f := foundIn(useless)
		f.Text = fmt.Sprintf("%s: %v", useless.Path, useless.Err)
		return []Finding{f}, nil
	}
	var hidden *history.HiddenError
	if errors.As(err, &hidden) {
		s, err = &migrate.Status{}, nil
	}
	if s == nil {
		return nil, err
	}
	d.history = &status{s, err}
	var off []Finding
	if s.Partial != nil {
		off = append(off, d.halfApplied(s.Partial))
	}
	never := s.Current == "" && s.Partial == nil
	var disagrees *migrate.HistoryError
	if never || errors.As(err, &disagrees) && disagrees.Reason == history.Foreign {
		taken, err := d.strangers(ctx)
		if err != nil {
			return off, err
		}
		off = append(off, taken...)
	}
	var sum *migrate.ChecksumError
	switch apply := d.Command("migrate apply"); {
	case errors.As(err, &sum):
		f := foundIn(sum)
		switch {
		case sum.File == "":
			f.Fix = "restore it, or write it anew with " + d.Command("migrate hash")
		case sum.Reason != directory.LineEnds:
			f.Fix = "undo the change, or accept it with " + d.Command("migrate hash")
		}
		off = append(off, f)
	case errors.As(err, &disagrees):
		off = append(off, d.disagreement(disagrees))
	case err != nil:
		return off, err
	case hidden != nil && (len(d.tables) == 0 || !d.hiddenIn(ctx, d.historyIn(), atlasdb.RevisionsTable)):
		off = append(off, foundIn(hidden))
	case never && len(d.tables) > 0:
		off = append(off, d.withoutHistory(ctx))
	case never && len(off) > 0:
	case never:
		off = append(off, found(Error, apply, "nothing is applied, %s pending", english.Count(len(s.Pending), "file")))
	case s.Partial == nil && len(s.Pending) > 0:
		off = append(off, found(Warning, apply,
			"%s pending: %s", english.Count(len(s.Pending), "file"), enumerate(s.Pending)))
	}
	if len(off) == 0 {
		return ok("up to date with %s, %s applied", s.Current, english.Count(len(s.Applied), "file")), nil
	}
	return off, nil
}

// unversioned makes the finding of a project without migrations of this tool's.
func (d *database) unversioned(ctx context.Context) []Finding {
	// The error is that the history is of another directory than the one in this program.
	s, _ := migrate.ReadStatus(ctx, d.raw, migrate.StatusOptions{Dir: d.Dir, RevisionsSchema: d.RevisionsSchema})
	switch {
	case s != nil && s.Current != "":
		return []Finding{found(Error, "run this where it is, or name it with --dir",
			"the history of the database is at %s, and its directory is not there", s.Current)}
	case len(d.tables) == 0:
		return []Finding{found(Error, "make them as the project makes its others", "none of the tables is there")}
	}
	return []Finding{found(Info, `compare the tables with authgraph diff "$DATABASE_URL" schema`,
		"the project has none for authgraph to apply: its program or another tool makes the tables")}
}

// disagreement makes the finding of a directory that does not continue the history.
func (d *database) disagreement(err *migrate.HistoryError) Finding {
	f := foundIn(err)
	switch err.Reason {
	case history.Foreign:
		f.Fix = "name that directory with --dir, keep this history apart with --revisions-schema NAME, or " +
			"use another database"
	case history.OutOfOrder:
		f.Fix = "rename it to a new version, then run " + d.Command("migrate hash")
	case history.PendingPartEdited:
		f.Fix = "if the edit repairs what did not run, run " + d.Command("migrate apply") + " --accept-edit"
	}
	return f
}

// halfApplied makes the finding of a file that stopped half way.
func (d *database) halfApplied(p *migrate.Partial) Finding {
	half, on := "half applied", d.Command("migrate apply")
	if p.Undoing {
		half, on = "half undone", d.Command("migrate down")
	}
	what := fmt.Sprintf("%s is %s: %d of %d statements", p.File, half, p.Applied, p.Total)
	switch {
	case p.InDoubt:
		what += ", the next one is running or was cut off"
	case p.Error != "":
		what += ", the next one failed: " + p.Error
	}
	return found(Error, fmt.Sprintf("%s shows where; once the cause is gone, %s goes on there",
		d.Command("migrate status"), on), "%s", what)
}

// withoutHistory makes the finding of tables without a history.
func (d *database) withoutHistory(ctx context.Context) Finding {
	text := fmt.Sprintf("there are tables (%s) but no history", enumerate(d.tables))
	other := d.Command("adopt")
	if d.url.Dialect == dialect.SQLite {
		other = d.Command("migrate apply") + " --allow-dirty"
	}
	fix := fmt.Sprintf(
		"%s, where another tool made them; %s --baseline VERSION, where they are those of that migration",
		other, d.Command("migrate apply"))
	if schema := d.historyIn(); d.hiddenIn(ctx, schema, atlasdb.RevisionsTable) {
		text += ", or this account has no right on it"
		fix = fmt.Sprintf("where it is there: %s where not: %s",
			d.grant("SELECT ON "+dbserver.Quote(schema)+"."+dbserver.Quote(atlasdb.RevisionsTable)), fix)
	}
	return found(Error, fix, "%s", text)
}

// historyIn is the schema that the history is in.
func (d *database) historyIn() string { return cmp.Or(d.RevisionsSchema, d.url.Database()) }

// directory is the one that the database follows.
func (d *database) directory() (directory.Dir, error) {
	if d.Dir != nil {
		return d.Dir, nil
	}
	embedded, err := migrate.Embedded(d.url.Dialect)
	if err != nil {
		return nil, err
	}
	return directory.Of(embedded)
}
