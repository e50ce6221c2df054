// Package history keeps the record of what was applied to a database in Atlas's table atlas_schema_revisions, which is
// a [Store], and the lock that only one writer holds at a time. [Verify] says whether a directory continues a history.
//
// It executes no migration: package migrate does. Package adopt begins a history with a baseline.
package history

import (
	"slices"
	"time"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/internal/directory"
)

// Baseline is the record of a file that counts as applied, with all files before it.
func Baseline(f atlas.File) *atlas.Revision {
	return &atlas.Revision{
		Version: f.Version(), Description: f.Desc(), Type: atlas.RevisionTypeBaseline, ExecutedAt: time.Now(),
	}
}

// Verify is an [*Error] if a directory does not continue a history: every applied file has to be there and unchanged,
// and none may have been added before an applied one.
func Verify(dir directory.Dir, revs []*atlas.Revision) error {
	if len(revs) == 0 {
		return nil
	}
	files, err := dir.Files()
	if err != nil {
		return directory.Wrap(dir, err)
	}
	sum, err := dir.Checksum()
	if err != nil {
		return directory.Wrap(dir, err)
	}
	byVersion := make(map[string]*atlas.Revision, len(revs))
	for _, r := range revs {
		byVersion[r.Version] = r
	}
	// A baseline also counts for the files before it.
	first, last := "", revs[len(revs)-1].Version
	if revs[0].Type == atlas.RevisionTypeBaseline {
		first = revs[0].Version
	}
	inDir := make(map[string]bool, len(files))
	for _, f := range files {
		inDir[f.Version()] = true
	}
	if !slices.ContainsFunc(revs, func(r *atlas.Revision) bool { return inDir[r.Version] }) {
		return &Error{Reason: Foreign, File: FileOf(revs[len(revs)-1])}
	}
	for _, f := range files {
		if _, ok := byVersion[f.Version()]; !ok && first < f.Version() && f.Version() < last {
			return &Error{Reason: OutOfOrder, File: f.Name()}
		}
	}
	for _, r := range revs {
		if !inDir[r.Version] {
			return &Error{Reason: Missing, File: FileOf(r)}
		}
	}
	for _, f := range files {
		r, ok := byVersion[f.Version()]
		// A baseline was never executed; a half-applied file is compared statement by statement.
		if !ok || r.Type == atlas.RevisionTypeBaseline || r.Hash == "" || r.Applied < r.Total {
			continue
		}
		h, err := sum.SumByName(f.Name())
		if err != nil {
			return directory.Wrap(dir, err)
		}
		if h != r.Hash {
			return &Error{Reason: Changed, File: f.Name()}
		}
	}
	return nil
}

// FileOf is the name of the file that a record belongs to.
func FileOf(r *atlas.Revision) string {
	if r.Description == "" {
		return r.Version + ".sql"
	}
	return r.Version + "_" + r.Description + ".sql"
}

// Pending are the files of the directory that are not, or not wholly, applied.
func Pending(dir directory.Dir, revs []*atlas.Revision) ([]atlas.File, error) {
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	if len(revs) == 0 {
		return files, nil
	}
	last := revs[len(revs)-1]
	var out []atlas.File
	for _, f := range files {
		if f.Version() > last.Version || f.Version() == last.Version && last.Applied < last.Total {
			out = append(out, f)
		}
	}
	return out, nil
}
