// Package down takes applied migrations back: [Make] plans the way from what the newest files lead to, to what those
// before them lead to, and counts the rows that would lose something; [Plan.Run] goes it.
//
// It has no statements of its own: package planner plans them, or the directory holds them, and package migrate
// executes and records them. It asks nobody.
package down

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

// Options say how far to go back.
type Options struct {
	Dir directory.Dir
	// To is the version that stays; Steps is how many files to take back where To is empty, 0 for one.
	To    string
	Steps int
	// RevisionsSchema and LockTimeout are as in [migrate.ApplyOptions].
	RevisionsSchema string
	LockTimeout     time.Duration
	// Allow names the tables, or the columns as TABLE.COLUMN, whose values may go.
	Allow []string
	// Progress is as in [migrate.ApplyOptions].
	Progress func(migrate.Progress)
}

// Plan is a way back that is planned and not gone.
type Plan struct {
	// From is the newest version that is applied, To the one that will be; empty if none.
	From string `json:"from"`
	To   string `json:"to"`
	// Files are those to take back, the newest first.
	Files []File `json:"files"`
	// Losses are what rows would lose, and what is in the way.
	Losses []Loss `json:"losses"`
	// More is set if Files is only the file that is on its way back already, and the options ask for more.
	More bool `json:"more,omitempty"`

	url  string
	opts Options
}

// File is one file to take back.
type File struct {
	Version string `json:"version"`
	Name    string `json:"name"`
	// Statements take it back.
	Statements []string `json:"statements"`
	// ByHand is the file of the directory that holds them; empty if they were planned.
	ByHand string `json:"by_hand,omitempty"`
	// Resumed is how many of them ran already, if Resumes is set.
	Resumed int  `json:"resumed,omitempty"`
	Resumes bool `json:"resumes,omitempty"`
	// Notes say what the statements leave as it is.
	Notes []string `json:"notes"`

	way    *planner.Way
	losses []planner.Loss
}

// Error is a way back that cannot be planned.
type Error struct{ found, fix string }

// Found says why.
func (e *Error) Found() string { return e.found }

// Fix says what to do.
func (e *Error) Fix() string { return e.fix }

func (e *Error) Error() string { return e.found + ": " + e.fix }

// Make plans the way back of the database at url. dev is an empty database of the same kind; see [planner.Scratch].
func Make(ctx context.Context, dev *planner.Dev, url string, opts Options) (_ *Plan, err error) {
	u, err := atlasdb.Parse(url)
	if err != nil {
		return nil, err
	}
	if err := directory.Validate(opts.Dir); err != nil {
		return nil, err
	}
	db, err := atlasdb.Open(ctx, u.ReadOnly())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if live := db.Flavour(); live != dev.Flavour() {
		return nil, &planner.FlavourError{URL: u.String(), Flavour: live, Dev: dev.Flavour()}
	}
	store, err := history.Of(db, opts.RevisionsSchema)
	if err != nil {
		return nil, err
	}
	revs, err := store.Read(ctx)
	if err == nil && len(revs) == 0 {
		err = store.Visible(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := history.Verify(opts.Dir, revs); err != nil {
		return nil, err
	}
	undo, rest, err := opts.choose(revs)
	if err != nil {
		return nil, err
	}
	p := &Plan{Files: []File{}, Losses: []Loss{}, url: url, opts: opts}
	if n := len(revs); n > 0 {
		p.From = revs[n-1].Version
	}
	if len(rest) > 0 {
		p.To = rest[len(rest)-1].Version
	}
	if len(undo) == 0 {
		return p, nil
	}
	if history.Undoing(undo[0]) {
		p.resume(undo[0], len(undo) > 1, revs)
		return p, nil
	}
	restore, err := dev.Default(ctx, db)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, restore(ctx)) }()
	m := &maker{dev: dev, dir: opts.Dir, url: url}
	if m.files, err = opts.Dir.Files(); err != nil {
		return nil, directory.Wrap(opts.Dir, err)
	}
	for i, r := range undo {
		f, err := m.file(ctx, r, i == 0)
		if err != nil {
			return nil, err
		}
		p.Files = append(p.Files, *f)
	}
	if err := m.undisturbed(ctx, p.Files); err != nil {
		return nil, err
	}
	for _, f := range p.Files {
		found, err := count(ctx, db, f, p.Files[0].way)
		if err != nil {
			return nil, err
		}
		p.Losses = append(p.Losses, found...)
	}
	return p, nil
}

// choose are the records to undo, the newest first, and those that stay.
func (o Options) choose(revs []*atlas.Revision) (undo, rest []*atlas.Revision, err error) {
	n := max(o.Steps, 1)
	if o.To != "" {
		i := slices.IndexFunc(revs, func(r *atlas.Revision) bool { return r.Version == o.To })
		if i < 0 {
			return nil, nil, &Error{
				found: fmt.Sprintf("version %q is not applied to this database", o.To),
				fix:   "name one that the status lists as applied",
			}
		}
		n = len(revs) - i - 1
	}
	if n > len(revs) {
		if len(revs) == 0 && o.Steps <= 1 {
			return nil, nil, nil
		}
		return nil, nil, &Error{
			found: fmt.Sprintf("%d files are to be taken back, and %d are applied", n, len(revs)),
			fix:   "name fewer",
		}
	}
	rest, undo = revs[:len(revs)-n], slices.Clone(revs[len(revs)-n:])
	slices.Reverse(undo)
	for _, r := range undo {
		if r.Type == atlas.RevisionTypeBaseline {
			return nil, nil, &Error{
				found: fmt.Sprintf("version %s is the baseline of this database: its file never ran here", r.Version),
				fix:   "go back no further than to it",
			}
		}
	}
	return undo, rest, nil
}

// resume is the plan of a way back that was cut off.
func (p *Plan) resume(r *atlas.Revision, more bool, revs []*atlas.Revision) {
	all, ran := history.UndoStatements(r)
	p.Files = append(p.Files, File{
		Version: r.Version, Name: history.FileOf(r), Statements: all[1:], Resumes: true, Resumed: ran - 1,
		Notes: []string{},
	})
	p.More, p.To = more, ""
	if n := len(revs); n > 1 {
		p.To = revs[n-2].Version
	}
}

// maker plans the files of one [Make].
type maker struct {
	dev   *planner.Dev
	dir   directory.Dir
	url   string
	files []atlas.File
	// beside are the tables that the newest file, half applied, touches if its next statement ran too.
	beside []string
}

// file plans the way back from one file.
func (m *maker) file(ctx context.Context, r *atlas.Revision, newest bool) (*File, error) {
	i := slices.IndexFunc(m.files, func(f atlas.File) bool { return f.Version() == r.Version })
	of := m.files[i]
	forward, err := directory.Split(m.dev.DB().Driver, of)
	if err != nil {
		return nil, err
	}
	f := &File{Version: r.Version, Name: of.Name(), Statements: []string{}, Notes: []string{}}
	before := planner.Prefix(m.dir, m.files[:i], -1)
	ran := -1
	if newest && r.Applied < r.Total {
		if ran, err = m.half(ctx, r, forward, i, before); err != nil {
			return nil, err
		}
		forward.Stmts, forward.Code = forward.Stmts[:ran], forward.Code[:ran]
	}
	after := planner.Prefix(m.dir, m.files[:i+1], ran)
	if f.way, err = planner.WayBack(ctx, m.dev, after, before); err != nil {
		return nil, err
	}
	f.losses = f.way.Losses
	var byHand atlas.File
	if ran < 0 {
		if byHand, err = directory.Down(m.dir, of); err != nil {
			return nil, err
		}
	}
	if byHand == nil {
		return f, f.planned(forward)
	}
	back, err := directory.Split(m.dev.DB().Driver, byHand)
	if err != nil {
		return nil, err
	}
	f.ByHand = byHand.Name()
	for _, s := range back.Stmts {
		f.Statements = append(f.Statements, s.Text)
	}
	left, err := planner.WayBack(ctx, m.dev, planner.Then(m.dir, m.files[:i+1], -1, byHand), before)
	if err != nil {
		return nil, err
	}
	f.losses = byHandLosses(f.losses, back)
	return f, leads(f, left)
}

// leads is an error if a way back that was written by hand leads elsewhere than to where its file began.
func leads(f *File, left *planner.Way) error {
	var what []string
	what = append(append(what, left.Statements...), left.Unplanned...)
	for _, o := range left.Objects {
		what = append(what, "it differs in "+o.String())
	}
	if len(what) == 0 {
		return nil
	}
	return &Error{
		found: fmt.Sprintf("the way back in %s does not lead to where %s began; what is missing: %s",
			f.ByHand, f.Name, strings.Join(what, "; ")),
		fix: "correct it",
	}
}

// planned takes over the statements of the planner, where they are the whole way back.
func (f *File) planned(forward *directory.File) error {
	byHand := path.Join(directory.DownFolder, f.Name)
	for i, code := range forward.Code {
		if kind := makesObject(code); kind != "" {
			return &Error{
				found: fmt.Sprintf("%s:%d is about a %s, and no plan takes that back", f.Name, forward.Line(i), kind),
				fix:   "write the statements that do into " + byHand,
			}
		}
		if note := changesRows(code, f.way); note != "" {
			f.Notes = append(f.Notes, fmt.Sprintf("%s:%d %s", f.Name, forward.Line(i), note))
		}
	}
	if missing := f.way.Unplanned; len(missing) > 0 {
		return &Error{
			found: "a part of the way back from " + f.Name + " cannot be planned: " + strings.Join(missing, "; "),
			fix:   "write the statements into " + byHand,
		}
	}
	f.Statements = f.way.Statements
	return nil
}

// half is how many statements of a half-applied file ran: as many as are recorded, or one more if it was cut off.
func (m *maker) half(
	ctx context.Context, r *atlas.Revision, forward *directory.File, i int, before planner.State,
) (int, error) {
	sums := forward.Sums()
	for n := range min(r.Applied, len(r.PartialHashes)) {
		if n >= len(sums) || sums[n] != r.PartialHashes[n] {
			return 0, &history.Error{
				Reason: history.AppliedPartEdited, File: forward.Name(), Applied: r.Applied, Total: r.Total,
			}
		}
	}
	var ways []*planner.Way
	var tables []string
	for n := r.Applied; n <= min(r.Applied+1, len(forward.Stmts)); n++ {
		way, err := planner.WayBack(ctx, m.dev, planner.Prefix(m.dir, m.files[:i+1], n), before)
		if err != nil {
			// The next statement may be the one that every server refuses.
			if n > r.Applied && ctx.Err() == nil {
				break
			}
			return 0, err
		}
		ways, tables = append(ways, way), append(tables, way.Tables...)
	}
	m.beside = tables
	for n, way := range ways {
		differ, err := way.Differing(ctx, m.dev, m.url, tables)
		if err != nil {
			return 0, err
		}
		if len(differ) == 0 {
			return r.Applied + n, nil
		}
	}
	return r.Applied, nil
}

// undisturbed is an error if the tables that the way back is about are not what the directory made of them.
func (m *maker) undisturbed(ctx context.Context, files []File) error {
	tables := slices.Clone(m.beside)
	for _, f := range files {
		tables = append(tables, f.way.Tables...)
	}
	differ, err := files[0].way.Differing(ctx, m.dev, m.url, tables)
	if err != nil || len(differ) == 0 {
		return err
	}
	return &Error{
		found: fmt.Sprintf("the way back is about tables that are not what the migrations made of them: %s",
			strings.Join(slices.Compact(slices.Sorted(slices.Values(differ))), ", ")),
		fix: "undo what was changed there by hand",
	}
}

// Run goes the way back. What rows would lose is counted again before each file, while no other writer may begin: a
// [*LossError] ends it there.
func (p *Plan) Run(ctx context.Context) (_ *migrate.DownReport, err error) {
	u, err := atlasdb.Parse(p.url)
	if err != nil {
		return nil, err
	}
	db, err := atlasdb.Open(ctx, u.ReadOnly())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	opts := migrate.DownOptions{
		Dir: p.opts.Dir, RevisionsSchema: p.opts.RevisionsSchema, LockTimeout: p.opts.LockTimeout,
		Progress: p.opts.Progress,
	}
	for _, f := range p.Files {
		opts.Steps = append(opts.Steps, migrate.DownStep{Version: f.Version, Statements: f.Statements})
	}
	opts.Before = func(ctx context.Context, step migrate.DownStep) error {
		for _, f := range p.Files {
			if f.Version != step.Version {
				continue
			}
			found, err := count(ctx, db, f, f.way)
			if err != nil {
				return err
			}
			if refused := p.refused(found); len(refused) > 0 {
				return &LossError{File: f.Name, Losses: refused}
			}
		}
		return nil
	}
	return migrate.Down(ctx, p.url, opts)
}
