package adopt

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/registry"
	"github.com/authgraph/authgraph/migrate"
)

// emailColumn holds the addresses of each table of registry.With, which are found in one spelling only.
const emailColumn = "email"

// address is the address of a row, as it is and as it is found.
type address struct {
	id       int64
	was, now string
}

// batchRows is how many rows are read at once, and how many addresses one statement rewrites.
const batchRows = 500

// addressesOf are those of a table in the order of ids.
func addressesOf(ctx context.Context, db *atlasdb.DB, table string) iter.Seq2[address, error] {
	return func(yield func(address, error) bool) {
		for row, err := range textsOf(ctx, db, table, emailColumn) {
			if !yield(address{row.id, row.text, schematype.NormalizeEmail(row.text)}, err) {
				return
			}
		}
	}
}

// idText is a text of a row.
type idText struct {
	id   int64
	text string
}

// textsOf are the texts of a column in the order of ids, read without a transaction that stays open. Rows with an id
// above an int64 are left out: their ids are an obstacle.
func textsOf(ctx context.Context, db *atlasdb.DB, table, column string) iter.Seq2[idText, error] {
	query := fmt.Sprintf("SELECT id, CONVERT(%s USING utf8mb4) FROM %s "+
		"WHERE id > ? AND id <= %d AND %[1]s IS NOT NULL ORDER BY id LIMIT %[4]d",
		dbserver.Quote(column), dbserver.Quote(table), math.MaxInt64, batchRows)
	return func(yield func(idText, error) bool) {
		last := int64(math.MinInt64)
		for n := batchRows; n == batchRows; {
			var batch []idText
			var bad error
			err := db.Rows(ctx, query, func(r []sql.NullString) {
				id, err := strconv.ParseInt(r[0].String, 10, 64)
				bad, last = errors.Join(bad, err), id
				batch = append(batch, idText{id, r[1].String})
			}, last)
			if err := errors.Join(err, bad); err != nil {
				yield(idText{}, fmt.Errorf("read column %s of table %s: %w", column, table, err))
				return
			}
			for _, row := range batch {
				if !yield(row, nil) {
					return
				}
			}
			n = len(batch)
		}
	}
}

// addresses counts, by table, the addresses that are not normalised. They stand in the way unless they are to be
// rewritten, and do so in any case where they would be too long, or equal to another one.
func (s search) addresses(ctx context.Context, rewrite bool) (map[string]int64, error) {
	counts := map[string]int64{}
	for _, table := range registry.With(emailColumn) {
		_, there := s.plan.live[table].find(isColumn, emailColumn)
		if !there || s.key(table) != dbserver.Quote("id") {
			continue
		}
		long := Obstacle{
			Table: table, Columns: []string{emailColumn}, Kind: ObstacleTooLong,
			Text: fmt.Sprintf("the addresses are longer than %d characters once normalised", schematype.MaxEmailLen),
			Fix:  "correct them",
		}
		other := Obstacle{
			Table: table, Columns: []string{emailColumn}, Kind: ObstacleAddress,
			Text: "they would not be found any more", Fix: "have them rewritten (NormalizeEmails)",
		}
		groups := map[[16]byte][]int64{}
		for a, err := range addressesOf(ctx, s.db, table) {
			if err != nil {
				return nil, err
			}
			if a.now == a.was {
				continue
			}
			other.count(a.id)
			if utf8.RuneCountInString(a.now) > schematype.MaxEmailLen {
				long.count(a.id)
			}
			groups[digest(a.now)] = nil
		}
		if other.Rows == 0 {
			continue
		}
		counts[table] = other.Rows
		if err := s.sameAddresses(ctx, table, groups); err != nil {
			return nil, err
		}
		if long.Rows > 0 {
			s.plan.obstruct(long)
		}
		if !rewrite {
			s.plan.obstruct(other)
		}
	}
	return counts, nil
}

func (o *Obstacle) count(id int64) {
	if o.Rows++; o.Rows <= shownRows {
		o.IDs = append(o.IDs, numbers(strconv.FormatInt(id, 10)))
	}
}

// digest stands for an address in memory, at 16 bytes.
func digest(address string) [16]byte {
	sum := sha256.Sum256([]byte(address))
	return [16]byte(sum[:16])
}

// sameAddresses reads the addresses once more and names the rows that share one of those that are not normalised, where
// only one row may have it.
func (s search) sameAddresses(ctx context.Context, table string, groups map[[16]byte][]int64) error {
	only := slices.ContainsFunc(s.plan.want[table].all(isIndex), func(ix part) bool {
		return ix.isUnique() && sameNames(ix.columns, []string{emailColumn})
	})
	if !only {
		return nil
	}
	for a, err := range addressesOf(ctx, s.db, table) {
		if err != nil {
			return err
		}
		key := digest(a.now)
		if ids, ok := groups[key]; ok && len(ids) < shownRows {
			groups[key] = append(ids, a.id)
		}
	}
	var same [][]int64
	for _, ids := range groups {
		if len(ids) > 1 {
			same = append(same, ids)
		}
	}
	if len(same) == 0 {
		return nil
	}
	slices.SortFunc(same, slices.Compare)
	o := Obstacle{
		Table: table, Columns: []string{emailColumn}, Kind: ObstacleSameAddress, Rows: int64(len(same)),
		Text: "they are one address once normalised, and one account can have it", Fix: "decide whose it is",
	}
	for _, ids := range same[:min(len(same), shownRows)] {
		o.IDs = append(o.IDs, numbers(strings.Fields(strings.Trim(fmt.Sprint(ids), "[]"))...))
	}
	s.plan.obstruct(o)
	return nil
}

// normalize rewrites the addresses of a table batch by batch, each row only if it still is what was read, and leaves
// the times of the row's last update alone.
func (s search) normalize(ctx context.Context, table string, total int64, progress func(migrate.Progress)) error {
	var batch []address
	done := 0
	flush := func() error {
		done += len(batch)
		p := migrate.Progress{File: "addresses of " + table, Index: done, Total: max(int(total), done)}
		progress(p)
		began := time.Now()
		if err := s.rewrite(ctx, table, batch); err != nil {
			return fmt.Errorf("normalise the addresses of table %s: %w", table, err)
		}
		batch = nil
		p.Done, p.Duration = true, time.Since(began)
		progress(p)
		return nil
	}
	for a, err := range addressesOf(ctx, s.db, table) {
		if err != nil {
			return err
		}
		if a.now != a.was {
			batch = append(batch, a)
		}
		if len(batch) == batchRows {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return flush()
}

// duplicateKey is the server's error for a row that a unique index refuses.
const duplicateKey = 1062

// rewrite updates a batch with one statement, which leaves alone what an UPDATE sets to the current time.
func (s search) rewrite(ctx context.Context, table string, batch []address) error {
	var rows []string
	var args []any
	for _, a := range batch {
		rows = append(rows, "SELECT ? AS id, ? AS was, ? AS now")
		args = append(args, a.id, a.was, a.now)
	}
	email := "r." + dbserver.Quote(emailColumn)
	set := email + " = v.now"
	for _, c := range s.plan.live[table].all(isColumn) {
		if c.holds.updates {
			set += ", r." + dbserver.Quote(c.name) + " = r." + dbserver.Quote(c.name)
		}
	}
	_, err := s.db.Conn.ExecContext(ctx, fmt.Sprintf("UPDATE %s AS r JOIN (%s) AS v ON v.id = r.id SET %s "+
		"WHERE CONVERT(%s USING utf8mb4) COLLATE utf8mb4_bin = v.was",
		dbserver.Quote(table), strings.Join(rows, " UNION ALL "), set, email), args...)
	var refused *mysql.MySQLError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refused) || refused.Number != duplicateKey:
		return dbserver.WithoutValue(err)
	case len(batch) == 1:
		return fmt.Errorf("row %d: the table's collation takes its address for that of another row: "+
			"change one of the two", batch[0].id)
	}
	for _, a := range batch {
		if err := s.rewrite(ctx, table, []address{a}); err != nil {
			return err
		}
	}
	return nil
}
