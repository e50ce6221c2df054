package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
)

// pendingFile is a file to apply, split into statements, and its record.
type pendingFile struct {
	file *directory.File
	sums []string
	rev  *atlas.Revision
	// ran is set if the first statement that is not recorded ran all the same.
	ran bool
	// back is set if the statements take a file back.
	back bool
	// began is when this apply began with the file, earlier how long the ones before it took.
	began   time.Time
	earlier time.Duration
}

// plan is what an apply has to do.
type plan struct {
	files []*pendingFile
	// baseline is to be recorded before them, if it is set.
	baseline *atlas.Revision
	// current is the newest version that is wholly applied; empty if none.
	current string
}

func (p plan) isEmpty() bool { return len(p.files) == 0 && p.baseline == nil }

// replan works out the plan and brings the report and the count of steps up to date with it.
func (a *applier) replan(ctx context.Context) (plan, error) {
	p, err := a.plan(ctx)
	a.report.Current = cmp.Or(p.current, a.report.Current)
	a.steps = a.step
	for _, f := range p.files {
		a.steps += len(f.file.Stmts) - f.rev.Applied
	}
	return p, err
}

// plan works out what is to be done. It changes nothing. With an error, current is still set if it is known.
func (a *applier) plan(ctx context.Context) (p plan, err error) {
	revs, err := a.store.Read(ctx)
	if err != nil {
		return p, err
	}
	var dirty *DirtyError
	if len(revs) == 0 {
		if err := a.store.Visible(ctx); err != nil {
			return p, err
		}
		if p.baseline, err = a.firstRun(ctx); err != nil && !errors.As(err, &dirty) {
			return p, err
		}
		if p.baseline != nil {
			revs = append(revs, p.baseline)
		}
	}
	if err := history.Verify(a.dir, revs); err != nil {
		return p, err
	}
	p.current = currentOf(revs)
	if n := len(revs); n > 0 && history.Undoing(revs[n-1]) {
		return p, history.HalfUndoneError(revs[n-1])
	}
	files, err := a.pending(revs)
	if err != nil {
		return p, err
	}
	if p.files, err = a.withRecords(ctx, files, revs); err != nil {
		return p, err
	}
	if dirty != nil && dirty.Baseline != "" {
		return p, dirty
	}
	// A name that is taken comes before a DirtyError: no option helps against it.
	if err := a.checkNames(ctx, p.files, dirty != nil); err != nil {
		return p, err
	}
	if p.baseline != nil {
		if err := a.checkBaseline(ctx, p.baseline.Version); err != nil {
			return p, err
		}
	}
	if dirty != nil {
		return p, dirty
	}
	return p, nil
}

// firstRun decides what to do with a database that has no history.
func (a *applier) firstRun(ctx context.Context) (*atlas.Revision, error) {
	if v := a.opts.Baseline; v != "" {
		files, err := a.dir.Files()
		if err != nil {
			return nil, directory.Wrap(a.dir, err)
		}
		i := slices.IndexFunc(files, func(f atlas.File) bool { return f.Version() == v })
		if i < 0 {
			return nil, &history.VersionError{Version: v}
		}
		return history.Baseline(files[i]), nil
	}
	if a.opts.AllowDirty {
		return nil, nil
	}
	s, err := a.db.Driver.InspectSchema(ctx, "", nil)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", a.db.URL, err)
	}
	for _, t := range s.Tables {
		if t.Name != atlasdb.RevisionsTable {
			version, err := a.baselineOf(s)
			return nil, cmp.Or(err, error(&DirtyError{Table: t.Name, Baseline: version}))
		}
	}
	return nil, nil
}

// baselineOf is the version that a database without history is at: the files up to it make tables that are there, and
// the next one makes tables of which none is. It is empty if a file does not show by its tables whether it ran.
func (a *applier) baselineOf(s *schema.Schema) (version string, err error) {
	files, err := a.dir.Files()
	if err != nil {
		return "", directory.Wrap(a.dir, err)
	}
	for _, f := range files {
		file, err := directory.Split(a.db.Driver, f)
		if err != nil {
			return "", err
		}
		var texts []string
		for _, stmt := range file.Stmts {
			texts = append(texts, stmt.Text)
		}
		names := makesNames(texts)
		there := 0
		for _, name := range names {
			if _, ok := s.Table(name); ok {
				there++
			}
		}
		switch {
		case len(names) == 0 || there != 0 && there != len(names):
			return "", nil
		case there == 0:
			return version, nil
		}
		version = f.Version()
	}
	return version, nil
}

// pending are the files to apply, up to version opts.To.
func (a *applier) pending(revs []*atlas.Revision) ([]atlas.File, error) {
	files, err := history.Pending(a.dir, revs)
	if err != nil || a.opts.To == "" {
		return files, err
	}
	all, err := a.dir.Files()
	if err != nil {
		return nil, directory.Wrap(a.dir, err)
	}
	if !slices.ContainsFunc(all, func(f atlas.File) bool { return f.Version() == a.opts.To }) {
		return nil, &history.VersionError{Version: a.opts.To}
	}
	n := slices.IndexFunc(files, func(f atlas.File) bool { return f.Version() > a.opts.To })
	if n < 0 {
		return files, nil
	}
	return files[:n], nil
}

// withRecords splits the files into statements and puts their records beside them.
func (a *applier) withRecords(ctx context.Context, files []atlas.File, revs []*atlas.Revision) ([]*pendingFile, error) {
	var out []*pendingFile
	sum, err := a.dir.Checksum()
	if err != nil {
		return nil, directory.Wrap(a.dir, err)
	}
	for _, f := range files {
		file, err := directory.Split(a.db.Driver, f)
		if err != nil {
			return nil, err
		}
		hash, err := sum.SumByName(f.Name())
		if err != nil {
			return nil, directory.Wrap(a.dir, err)
		}
		t := &pendingFile{file: file, sums: file.Sums()}
		if i := slices.IndexFunc(revs, func(r *atlas.Revision) bool { return r.Version == f.Version() }); i >= 0 {
			t.rev = revs[i]
			if t.ran, err = ranBefore(ctx, a.store, t.rev); err != nil {
				return nil, err
			}
			if err := t.compare(hash, a.opts.AcceptEdit); err != nil {
				return nil, err
			}
		} else {
			t.rev = &atlas.Revision{
				Version: f.Version(), Description: f.Desc(), Type: atlas.RevisionTypeExecute, ExecutedAt: time.Now(),
			}
		}
		t.rev.Total, t.rev.Hash = len(file.Stmts), hash
		for i := t.rev.Applied; i < len(file.Stmts); i++ {
			if _, err := directory.Applies(a.db.URL.Dialect, file.Code[i], a.db.URL.Database()); err != nil {
				return nil, file.Error(i, t.rev.Applied, err)
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// compare is a [*HistoryError] if a half-applied file, whose checksum is hash, does not fit its record.
func (t *pendingFile) compare(hash string, acceptEdit bool) error {
	done := t.rev.Applied
	if len(t.rev.PartialHashes) < done {
		return fmt.Errorf(
			"table %s: version %s counts %d applied statements but holds %d hashes: repair the row by hand",
			atlasdb.RevisionsTable, t.rev.Version, done, len(t.rev.PartialHashes))
	}
	edited := func(reason history.Reason, n int) error {
		return &HistoryError{Reason: reason, File: t.file.Name(), Applied: n, Total: t.rev.Total}
	}
	for i := range done {
		if i >= len(t.sums) || t.sums[i] != t.rev.PartialHashes[i] {
			return edited(history.AppliedPartEdited, done)
		}
	}
	// A statement that ran without being recorded must not be edited either.
	if t.ran && (done >= len(t.file.Stmts) || t.file.Stmts[done].Text != t.rev.ErrorStmt) {
		return edited(history.AppliedPartEdited, done+1)
	}
	if t.rev.Hash != hash && done > 0 && !acceptEdit {
		return edited(history.PendingPartEdited, done)
	}
	return nil
}

// upToDate reports, without a lock, whether there is nothing to do: a replica that starts need not wait for what others
// apply elsewhere in time. Whatever else it finds is looked at again under the lock.
func (a *applier) upToDate(ctx context.Context) (bool, error) {
	revs, err := a.store.Read(ctx)
	if err != nil || len(revs) == 0 || revs[len(revs)-1].Applied < revs[len(revs)-1].Total {
		return false, err
	}
	p, err := a.replan(ctx)
	return err == nil && p.isEmpty(), ctx.Err()
}
