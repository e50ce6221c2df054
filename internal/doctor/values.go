package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/schema/field"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/english"
)

// valueSample is how many rows of a table are read, the newest.
const valueSample = 10_000

func checkValues(ctx context.Context, d *database) (off []Finding, err error) {
	for _, table := range d.tables {
		more, err := d.columnValues(ctx, d.Users.Declared(table))
		off = append(off, more...)
		if err != nil {
			return off, err
		}
	}
	for _, look := range []func(context.Context) ([]Finding, error){d.avatars, d.deleted, d.families} {
		more, err := look(ctx)
		off = append(off, more...)
		if err != nil {
			return off, err
		}
	}
	if len(off) > 0 {
		return off, nil
	}
	return ok("the newest rows of every table hold what their columns mean"), nil
}

// correct is what to do about rows that hold what means nothing.
const correct = "correct these rows, and the program that writes them"

// columnValues looks at a table column by column.
func (d *database) columnValues(ctx context.Context, table *schema.Table) (off []Finding, err error) {
	columns, err := d.columns(ctx, table.Name)
	if err != nil {
		return nil, err
	}
	for _, column := range table.Columns {
		if !slices.Contains(columns, column.Name) {
			continue
		}
		if wrong, means := d.meaningless(column); wrong != "" {
			more, err := d.rowsWhere(ctx, Error, table.Name, column.Name, wrong, column.Name+" holds "+means, correct)
			if err != nil {
				return off, err
			}
			off = append(off, more...)
		}
	}
	if !slices.Contains(columns, "created_at") {
		return off, nil
	}
	ahead := fmt.Sprintf("created_at > '%s'", d.now.Add(auth.ClockTolerance).Format(time.DateTime))
	more, err := d.rowsWhere(ctx, Warning, table.Name, "created_at", ahead,
		"created_at is in the future, so a session, code or token is taken for ended",
		"set the clock of the machine that writes them")
	return append(off, more...), err
}

// columns are those that a table has, of which an older file may lack some.
func (d *database) columns(ctx context.Context, table string) ([]string, error) {
	query := "SELECT COLUMN_NAME FROM information_schema.COLUMNS " +
		"WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '" + table + "'"
	if d.url.Dialect == dialect.SQLite {
		query = "SELECT name FROM pragma_table_info('" + table + "')"
	}
	return list(ctx, d.db, query)
}

// meaningless is the condition on a column of the rows whose value means nothing,
// and what that value is. On SQLite it is what the CHECK of the column refuses.
func (d *database) meaningless(c *schema.Column) (condition, means string) {
	if d.url.Dialect == dialect.SQLite {
		_, check, found := strings.Cut(c.SchemaType[dialect.SQLite], " check ")
		if !found {
			return "", ""
		}
		return "NOT " + check, "what does not compare as it should"
	}
	switch c.Type {
	case field.TypeTime:
		return c.Name + " = 0", "the zero date"
	case field.TypeBool:
		return c.Name + " NOT IN (0, 1)", "a number that is no boolean"
	case field.TypeEnum:
		return c.Name + " = ''", "'', which stands for a word that the column does not list"
	default:
		return "", ""
	}
}

// rowsWhere finds the rows of a table for which a condition on a column holds.
func (d *database) rowsWhere(
	ctx context.Context, s Severity, table, column, condition, means, fix string,
) ([]Finding, error) {
	query := fmt.Sprintf("SELECT id FROM (SELECT id, %s FROM %s ORDER BY id DESC LIMIT %d) s WHERE %s ORDER BY id DESC",
		dbserver.Quote(column), dbserver.Quote(table), valueSample, condition)
	ids, err := list(ctx, d.db, query)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return []Finding{found(s, fix, "%s of the newest of %s: %s (ids %s)",
		english.Count(len(ids), "row"), table, means, enumerate(ids))}, nil
}

// avatars are documents of which package auth can use nothing, or not all.
func (d *database) avatars(ctx context.Context) ([]Finding, error) {
	users, avatar := d.Users.Table(), dbserver.Quote(d.Users.Column(user.FieldAvatar))
	if !slices.Contains(d.tables, users) || d.Users.Column(user.FieldAvatar) == "" {
		return nil, nil
	}
	var ids []string
	var id, document string
	newest := fmt.Sprintf("FROM (SELECT %[1]s AS id, %[2]s AS avatar FROM %[3]s ORDER BY %[1]s DESC LIMIT %[4]d) s",
		dbserver.Quote(d.Users.Column(user.FieldID)), avatar, dbserver.Quote(users), valueSample)
	query := "SELECT id, avatar " + newest + " WHERE avatar IS NOT NULL AND LENGTH(avatar) <= 65536 " +
		"UNION ALL SELECT id, '[]' " + newest + " WHERE LENGTH(avatar) > 65536"
	err := each(ctx, d.db, query, []any{&id, &document}, func() {
		var avatar *struct {
			PublicID string `json:"public_id"`
			URL      string `json:"url"`
			Size     int64  `json:"size"`
		}
		if json.Unmarshal([]byte(document), &avatar) != nil {
			ids = append(ids, id)
		}
	})
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return []Finding{found(Warning, correct, "%s of the newest of "+users+": avatar is not of the form "+
		`{"url": text, "public_id": text, "size": number} or longer than 64 KiB; `+
		"what does not fit is left out (ids %s)",
		english.Count(len(ids), "row"), enumerate(ids))}, nil
}

// deleted are accounts of which nobody knows when they were deleted.
func (d *database) deleted(ctx context.Context) ([]Finding, error) {
	users, is, at := d.Users.Table(), d.Users.Column(user.FieldIsDeleted), d.Users.Column(user.FieldDeletedAt)
	if !slices.Contains(d.tables, users) || is == "" || at == "" {
		return nil, nil
	}
	ids, err := list(ctx, d.db, fmt.Sprintf("SELECT %[1]s FROM %s WHERE %s = 1 AND %s IS NULL ORDER BY %[1]s LIMIT 7",
		dbserver.Quote(d.Users.Column(user.FieldID)), dbserver.Quote(users), dbserver.Quote(is), dbserver.Quote(at)))
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return []Finding{found(Warning, "run authgraph purge, which dates them from its first run on",
		"%s are deleted and have no %s (ids %s)", users, at, enumerate(ids))}, nil
}

// families are refresh tokens that lead back to themselves.
func (d *database) families(ctx context.Context) ([]Finding, error) {
	if !slices.Contains(d.tables, refreshtoken.Table) {
		return nil, nil
	}
	var id, hash, next string
	ids, follows := map[string]string{}, map[string]string{}
	const columns = "id, token_hash, replaced_by_token_hash"
	query := fmt.Sprintf("SELECT %s FROM (SELECT %s FROM refresh_tokens ORDER BY id DESC LIMIT %d) s "+
		"WHERE replaced_by_token_hash IS NOT NULL", columns, columns, valueSample)
	err := each(ctx, d.db, query, []any{&id, &hash, &next}, func() { ids[hash], follows[hash] = id, next })
	if err != nil {
		return nil, err
	}
	if cycle := cycles(follows); len(cycle) > 0 {
		for i, hash := range cycle {
			cycle[i] = ids[hash]
		}
		slices.Sort(cycle)
		return []Finding{found(Error, "revoke these tokens and clear replaced_by_token_hash",
			"refresh tokens were exchanged for each other in a circle (ids %s)", enumerate(cycle))}, nil
	}
	return nil, nil
}

// cycles are the keys from which a chain leads back to them.
func cycles(follows map[string]string) (in []string) {
	const onPath, done = 1, 2
	state := map[string]int{}
	for start := range follows {
		var path []string
		at, more := start, true
		for ; more && state[at] == 0; at, more = follow(follows, at) {
			state[at] = onPath
			path = append(path, at)
		}
		if i := slices.Index(path, at); more && i >= 0 {
			in = append(in, path[i:]...)
		}
		for _, key := range path {
			state[key] = done
		}
	}
	return in
}

func follow(follows map[string]string, from string) (string, bool) {
	to, ok := follows[from]
	if _, known := follows[to]; !ok || !known {
		return "", false
	}
	return to, true
}
