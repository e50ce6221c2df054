package migrate

import (
	"context"
	"errors"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
)

// Status is how far a database has followed a directory.
type Status struct {
	// Current is the newest version that is wholly applied; empty if none.
	Current string `json:"current"`
	// Applied is the history, oldest first.
	Applied []Revision `json:"applied"`
	// Pending are the names of the files that are not, or not wholly, applied.
	Pending []string `json:"pending"`
	// Partial is the half-applied file, if there is one.
	Partial *Partial `json:"partial,omitempty"`
}

// Revision is one entry of the history.
type Revision struct {
	Version     string    `json:"version"`
	Description string    `json:"description"`
	Type        string    `json:"type"`
	ExecutedAt  time.Time `json:"executed_at"`
	// Operator is the program that applied it.
	Operator string        `json:"operator"`
	Duration time.Duration `json:"duration_ns"`
}

// Partial is a file of which only the first statements are applied.
type Partial struct {
	File    string `json:"file"`
	Applied int    `json:"applied"`
	Total   int    `json:"total"`
	// Stmt is the statement the file stopped at and Line where it begins; they
	// are zero if the file does not hold it any more.
	Stmt string `json:"stmt"`
	Line int    `json:"line"`
	// Error is the database's answer to it; empty if InDoubt.
	Error string `json:"error,omitempty"`
	// InDoubt is set if the apply was cut off while the statement ran, or runs
	// now. The next [Apply] finds out.
	InDoubt bool `json:"in_doubt,omitempty"`
}

// ReadStatus compares the database at url with a directory; nil is the
// embedded one. It changes nothing. Where directory and history disagree, the
// error is a [*ChecksumError] or [*HistoryError] and the status, read as far
// as it goes, is returned with it.
func ReadStatus(ctx context.Context, url string, dir Dir) (s *Status, err error) {
	t, err := openTarget(ctx, url, dir, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	revs, err := t.read(ctx)
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
	files, err := pending(t.dir, revs)
	if err != nil {
		return s, err
	}
	for _, f := range files {
		s.Pending = append(s.Pending, f.Name())
	}
	if n := len(revs); n > 0 && revs[n-1].Applied < revs[n-1].Total {
		if s.Partial, err = t.partial(files, revs[n-1]); err != nil {
			return s, err
		}
	}
	if err := Validate(t.dir); err != nil {
		return s, err
	}
	return s, verify(t.dir, revs)
}

// partial describes the half-applied file of r.
func (t *target) partial(files []atlas.File, r *atlas.Revision) (*Partial, error) {
	p := &Partial{
		File: r.Version + "_" + r.Description + ".sql", Applied: r.Applied, Total: r.Total,
		Stmt: r.ErrorStmt, Error: r.Error,
	}
	if p.InDoubt = strings.HasPrefix(r.Error, inDoubtPrefix); p.InDoubt {
		p.Error = ""
	}
	for _, f := range files {
		if f.Version() != r.Version {
			continue
		}
		stmts, err := statements(t.drv, f)
		if err != nil {
			return nil, err
		}
		if r.Applied < len(stmts) {
			p.Line = line(f, stmts[r.Applied])
			if p.Stmt == "" {
				p.Stmt = stmts[r.Applied].Text
			}
		}
	}
	return p, nil
}
