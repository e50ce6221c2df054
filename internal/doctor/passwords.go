package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/english"
)

// passwordSample is how many of the first and of the last users are read: those that were imported, and those that
// services of now made.
const passwordSample = 10_000

func checkPasswords(ctx context.Context, d *database) ([]Finding, error) {
	users, password := d.Users.Table(), d.Users.Column(user.FieldPassword)
	columns, err := d.columns(ctx, users)
	if err != nil || !slices.Contains(columns, password) {
		return ok("no user has a password"), err
	}
	counts, unreadable := map[string]int{}, map[string][]string{}
	var id string
	var hash sql.NullString
	have := 0
	part := func(order string) string {
		return fmt.Sprintf("SELECT * FROM (SELECT %[1]s, %[2]s FROM %[3]s ORDER BY %[1]s%[4]s LIMIT %[5]d) AS %[6]s",
			dbserver.Quote(d.Users.Column(user.FieldID)), dbserver.Quote(password), dbserver.Quote(users), order,
			passwordSample, strings.ToLower("t"+strings.TrimSpace(order)))
	}
	err = each(ctx, d.db, part("")+" UNION "+part(" DESC"), []any{&id, &hash}, func() {
		if !hash.Valid || d.Users != nil && hash.String == "" {
			return
		}
		have++
		kind, readable := d.Config.HashKind(hash.String)
		counts[kind]++
		if !readable {
			unreadable[kind] = append(unreadable[kind], id)
		}
	})
	if err != nil {
		return nil, err
	}
	var off []Finding
	for _, kind := range slices.Sorted(maps.Keys(unreadable)) {
		off = append(off, found(Warning,
			"let their owners reset the password, or give Config.Hasher one that reads such hashes",
			"%d of the passwords of %s are hashed in a way that package auth does not read (%s), so nobody signs in "+
				"with them (ids %s)", counts[kind], english.Count(have, "user"), kind, enumerate(unreadable[kind])))
		delete(counts, kind)
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	switch {
	case have == 0:
		return ok("no user has a password"), nil
	case len(kinds) == 0:
		return off, nil
	}
	return append(off, ok("passwords that package auth reads, of %s, the first and the last: %s",
		english.Count(have, "user"), strings.Join(kinds, ", "))...), nil
}
