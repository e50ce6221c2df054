package migrate

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
)

// Status is how much of a directory is applied to a database.
type Status struct {
	// Current is the newest version that is wholly applied; empty if none.
	Current string `json:"current"`
	// Applied is the history, oldest first.
	Applied []Revision `json:"applied"`
	// Pending are the names of the files that are not, or not wholly, applied.
	Pending []string `json:"pending"`
	// Partial is the half-applied file, or the one that is half taken back, if there is one.
	Partial *Partial `json:"partial,omitempty"`
}

// Revision is one entry of the history.
type Revision struct {
	// Version and Description are the two parts of the file's name.
	Version     string `json:"version"`
	Description string `json:"description"`
	// Type is Atlas's word for how it came about, such as "applied" or "baseline".
	Type string `json:"type"`
	// ExecutedAt is in UTC, to the second.
	ExecutedAt time.Time `json:"executed_at"`
	// Operator is the program that applied it.
	Operator string `json:"operator"`
	// Duration is how long its statements took, over all applies that it needed.
	Duration time.Duration `json:"duration_ns"`
}

// Partial is a file of which only the first statements are applied.
type Partial struct {
	// File is the name of the file.
	File string `json:"file"`
	// Applied of the Total statements are applied.
	Applied int `json:"applied"`
	Total   int `json:"total"`
	// Stmt is the statement at which the file stopped, as it was then. Line is the line on which it begins, 0 if the
	// file has changed there.
	Stmt string `json:"stmt"`
	Line int    `json:"line"`
	// Error is the database's answer to it, without the values of rows; empty if InDoubt.
	Error string `json:"error,omitempty"`
	// InDoubt is set if the apply was cut off while the statement ran, or runs now. The next [Apply] finds out.
	InDoubt bool `json:"in_doubt,omitempty"`
	// Undoing is set if the file is on its way back. The statements are then those that take it back, and [Down] goes
	// on with them.
	Undoing bool `json:"undoing,omitempty"`
}

// StatusOptions configure [ReadStatus].
type StatusOptions struct {
	// Dir is the directory, as in [ApplyOptions].
	Dir fs.FS
	// RevisionsSchema is the schema that holds the history, as in [ApplyOptions].
	RevisionsSchema string
}

// ReadStatus compares the database at url with a directory. It changes nothing, and may be
// called while an [Apply] runs. If directory and history disagree, the error is the [*ChecksumError] or [*HistoryError]
// that Apply would return, and what could be read of the status is returned with it. With any other error the status is
// nil or incomplete.
func ReadStatus(ctx context.Context, url string, opts StatusOptions) (s *Status, err error) {
	db, dir, err := open(ctx, url, opts.Dir, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := directory.NotForeign(dir); err != nil {
		return nil, err
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
	s = &Status{Applied: []Revision{}, Pending: []string{}}
	for _, r := range revs {
		if r.Applied < r.Total {
			continue
		}
		s.Current = r.Version
		s.Applied = append(s.Applied, Revision{
			Version: r.Version, Description: r.Description, Type: r.Type.String(),
			ExecutedAt: r.ExecutedAt.UTC(), Operator: r.OperatorVersion, Duration: r.ExecutionTime,
		})
	}
	files, err := history.Pending(dir, revs)
	if err != nil {
		return s, err
	}
	for _, f := range files {
		s.Pending = append(s.Pending, f.Name())
	}
	var partly *pendingFile
	var splitErr error
	if n := len(revs); n > 0 && history.Undoing(revs[n-1]) {
		s.Partial = undoing(revs[n-1])
	} else if n > 0 && revs[n-1].Applied < revs[n-1].Total {
		partly, splitErr = half(db, files, revs[n-1])
		s.Partial = partly.partial()
	}
	// A wrong directory or history is reported first: it may be why the half-applied file cannot be split.
	if err := directory.Validate(dir); err != nil {
		return s, err
	}
	if err := history.Verify(dir, revs); err != nil {
		return s, err
	}
	if splitErr != nil || partly == nil {
		return s, splitErr
	}
	return s, compareHalf(ctx, store, dir, partly)
}

// half is the half-applied file of r. It has no file if that is gone, and no statements if it cannot be split.
func half(db *atlasdb.DB, files []atlas.File, r *atlas.Revision) (*pendingFile, error) {
	d := &pendingFile{rev: r}
	for _, f := range files {
		if f.Version() == r.Version {
			d.file = &directory.File{File: f}
			file, err := directory.Split(db.Driver, f)
			if err != nil {
				return d, err
			}
			d.file, d.sums = file, file.Sums()
		}
	}
	return d, nil
}

// compareHalf compares the half-applied file with its record as [Apply] would.
func compareHalf(ctx context.Context, s history.Store, dir directory.Dir, half *pendingFile) error {
	sum, err := dir.Checksum()
	if err != nil {
		return directory.Wrap(dir, err)
	}
	hash, err := sum.SumByName(half.file.Name())
	if err != nil {
		return directory.Wrap(dir, err)
	}
	// It matters only if the file was edited. Looking at the schema may have to wait for the statement.
	if hash != half.rev.Hash {
		if half.ran, err = ranBefore(ctx, s, half.rev); err != nil {
			return err
		}
	}
	return half.compare(hash, false)
}

// partial describes a half-applied file.
func (t *pendingFile) partial() *Partial {
	r := t.rev
	p := &Partial{
		File: history.FileOf(r), Applied: r.Applied, Total: r.Total,
		Stmt: r.ErrorStmt, Error: dbserver.HideValue(r.Error), // another program may have written it
	}
	if p.InDoubt = strings.HasPrefix(r.Error, inDoubtPrefix); p.InDoubt {
		p.Error = ""
	}
	// Between two statements no statement is recorded: the file stopped at the next one.
	if t.file != nil && r.Applied < len(t.file.Stmts) && (p.Stmt == "" || p.Stmt == t.file.Stmts[r.Applied].Text) {
		p.Stmt, p.Line = t.file.Stmts[r.Applied].Text, t.file.Line(r.Applied)
	}
	return p
}
