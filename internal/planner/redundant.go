package planner

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
)

// RedundantIndex is an index that costs writes and serves no query.
type RedundantIndex struct {
	Table, Index string
	// Text names the index that makes it redundant.
	Text string
}

// RedundantIndexes are those of the named tables of the database at url. The database is only read.
func RedundantIndexes(ctx context.Context, url string, tables ...string) (found []RedundantIndex, err error) {
	live, err := OpenLive(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, live.Close()) }()
	s, err := live.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range s.Tables {
		if slices.Contains(tables, t.Name) {
			found = append(found, Redundant(t)...)
		}
	}
	return found, nil
}

// Redundant are the indexes of a table whose columns are the first ones of another index, or of the primary key. A
// unique one counts only if it repeats a unique one exactly.
func Redundant(t *schema.Table) (found []RedundantIndex) {
	all := Indexes(t)
	for n, short := range all {
		for m, long := range all {
			if n == m || short == t.PrimaryKey || !begins(short, long) {
				continue
			}
			same := len(short.Parts) == len(long.Parts)
			longUnique := long.Unique || long == t.PrimaryKey
			if short.Unique && !(same && longUnique) {
				continue
			}
			// The later one of two equal indexes is redundant.
			if same && short.Unique == longUnique && n < m {
				continue
			}
			what := fmt.Sprintf("index %q", long.Name)
			if long == t.PrimaryKey {
				what = "the primary key"
			}
			found = append(found, RedundantIndex{
				Table: t.Name, Index: short.Name,
				Text: fmt.Sprintf("index %q of table %q only repeats %s", short.Name, t.Name, what),
			})
			break
		}
	}
	return found
}

// Indexes are those of a table, with the primary key.
func Indexes(t *schema.Table) []*schema.Index {
	if t.PrimaryKey == nil {
		return t.Indexes
	}
	return append([]*schema.Index{t.PrimaryKey}, t.Indexes...)
}

// begins reports whether the parts of one index are the first of the other's.
func begins(short, long *schema.Index) bool {
	if len(short.Parts) > len(long.Parts) || !plain(short) || !plain(long) {
		return false
	}
	for i, a := range short.Parts {
		b := long.Parts[i]
		if a.C == nil || b.C == nil || a.C.Name != b.C.Name || a.Desc != b.Desc || prefix(a) != prefix(b) {
			return false
		}
	}
	return true
}

var collate = regexp.MustCompile(`(?i)\bCOLLATE\b`)

// plain reports whether queries use an index, and it is sorted and holds all rows. Atlas reports a collation of SQLite
// only in the text of the statement.
func plain(i *schema.Index) bool {
	if isHidden(i) {
		return false
	}
	if k := Attr[*mysql.IndexType](i.Attrs); k != nil && k.T != mysql.IndexTypeBTree {
		return false
	}
	if s := Attr[*sqlite.CreateStmt](i.Attrs); s != nil && collate.MatchString(s.S) {
		return false
	}
	return Attr[*sqlite.IndexPredicate](i.Attrs) == nil
}

func prefix(p *schema.IndexPart) int {
	if s := Attr[*mysql.SubPart](p.Attrs); s != nil {
		return s.Len
	}
	return 0
}
