package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/registry"
)

// emailSample is how many rows of a table are read.
const emailSample = 10_000

func checkEmail(ctx context.Context, d *database) (off []Finding, err error) {
	looked := 0
	tables := d.with("email")
	for _, table := range tables {
		severity, means := Warning, "no attempt finds them"
		if table == d.Users.Table() {
			severity, means = Error, "a sign-in does not find them, and the same person can register twice"
		}
		var ids []string
		var id, email string
		rows := 0
		column, key := user.FieldEmail, user.FieldID
		if table == d.Users.Table() {
			column, key = d.Users.Column(column), d.Users.Column(key)
		}
		query := fmt.Sprintf("SELECT %[1]s, %[2]s FROM %[3]s ORDER BY %[1]s DESC LIMIT %[4]d", dbserver.Quote(key),
			dbserver.Quote(column), dbserver.Quote(table), emailSample)
		err := each(ctx, d.db, query, []any{&id, &email}, func() {
			rows++
			if email != schematype.NormalizeEmail(email) {
				ids = append(ids, id)
			}
		})
		if err != nil {
			return off, err
		}
		looked += rows
		if len(ids) > 0 {
			off = append(off, found(severity,
				"let the client that writes them trim, lower and compose (NFC) addresses, and correct these rows",
				"%d of the newest %s of %s hold an address that is not normalised, so %s (ids %s)",
				len(ids), english.Count(rows, "row"), table, means, enumerate(ids)))
		}
	}
	switch {
	case len(tables) == 0:
		return ok("no table with addresses is there"), nil
	case len(off) == 0:
		return ok("%s, the newest of %s, hold normalised addresses",
			english.Count(looked, "row"), strings.Join(tables, " and ")), nil
	}
	return off, nil
}

// orphanSample is how many rows of a table are looked up.
const orphanSample = 100_000

func checkOrphans(ctx context.Context, d *database) (off []Finding, err error) {
	users, key := d.Users.Table(), dbserver.Quote(d.Users.Column(user.FieldID))
	if !slices.Contains(d.tables, users) {
		return ok("there is no table %s", users), nil
	}
	looked := 0
	var seen []string
	for _, of := range registry.To(user.Table) {
		if !slices.Contains(d.tables, of.Table) {
			continue
		}
		var rows, orphans int
		query := fmt.Sprintf("SELECT COUNT(*), COUNT(*) - COUNT(u.%[1]s) FROM (SELECT %[2]s AS user_id FROM %[3]s "+
			"ORDER BY id DESC LIMIT %[4]d) s LEFT JOIN %[5]s u ON u.%[1]s = s.user_id",
			key, dbserver.Quote(of.Column), dbserver.Quote(of.Table), orphanSample, dbserver.Quote(users))
		if err := d.db.QueryRowContext(ctx, query).Scan(&rows, &orphans); err != nil {
			return off, err
		}
		looked += rows
		seen = append(seen, of.Table)
		if orphans > 0 {
			fix := fmt.Sprintf("DELETE FROM %s WHERE %s NOT IN (SELECT %s FROM %s)",
				dbserver.Quote(of.Table), of.Column, strings.Trim(key, "`"), users)
			off = append(off, found(Error, fix,
				"%d of the newest %s of %s belong to no user", orphans, english.Count(rows, "row"), of.Table))
		}
	}
	switch {
	case len(seen) == 0:
		return ok("no table that refers to %s is there", users), nil
	case len(off) == 0:
		return ok("%s, the newest of %s, belong to %s",
			english.Count(looked, "row"), strings.Join(seen, " and "), users), nil
	}
	return off, nil
}
