package adopt

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
)

// needs are the privileges that a plan needs, by schema and table.
type needs map[object][]string

// object is a table of a schema.
type object struct{ schema, table string }

func (n needs) add(schema, table string, privileges ...string) {
	at := object{schema, table}
	for _, p := range privileges {
		if !slices.Contains(n[at], p) {
			n[at] = append(n[at], p)
		}
	}
}

// needs are those of the statements, of the addresses to rewrite, and of the history.
func (a *adoption) needs(p *plan, addresses map[string]int64) needs {
	n, db := needs{}, a.db.URL.Database()
	for _, s := range p.statements {
		switch verb, _, _ := strings.Cut(s.SQL, " "); {
		case s.table == notes:
			n.add(db, notes, "SELECT", "INSERT", "DELETE", "CREATE", "DROP")
		case verb == "CREATE":
			n.add(db, s.table, "CREATE")
		default:
			n.add(db, s.table, verb) // ALTER or UPDATE
		}
	}
	for _, alter := range p.alters {
		for _, fk := range alter.keys {
			if a.db.Flavour() == atlasdb.FlavourMySQL { // MariaDB does not ask for it
				n.add(db, fk.parent, "REFERENCES")
			}
		}
	}
	for table := range addresses {
		n.add(db, table, "UPDATE")
	}
	n.add(cmp.Or(a.store.Schema, db), atlasdb.RevisionsTable, "SELECT", "INSERT", "DELETE", "CREATE")
	return n
}

// tablePrivileges are those by which an account sees a table.
var tablePrivileges = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"}

// rights names what the account may not do and the plan needs, with the GRANT that lets it. A table that the account
// does not see may refer to one that is changed, so it has to see all of them.
func (a *adoption) rights(ctx context.Context, p *plan, n needs) error {
	var lines []string
	var account string
	err := a.db.Rows(ctx, "SHOW GRANTS", func(r []sql.NullString) { lines = append(lines, r[0].String) })
	if err == nil {
		err = a.db.Rows(ctx, "SELECT CURRENT_USER()", func(r []sql.NullString) { account = r[0].String })
	}
	if err != nil {
		return fmt.Errorf("read the rights of the account: %w", err)
	}
	all, db := dbserver.ParseGrants(lines), a.db.URL.Database()
	grant := func(right string) string { return "GRANT " + right + " TO " + dbserver.Grantee(account) + ";" }
	if len(all.Missing(tablePrivileges, db, "*")) == len(tablePrivileges) {
		p.obstruct(Obstacle{
			Table: db, Kind: ObstacleRight,
			Text: account + " sees only the tables it has a right on, and others may refer to these",
			Fix:  grant("SELECT ON " + all.Pattern(db) + ".*"),
		})
	}
	objects := slices.SortedFunc(maps.Keys(n), func(a, b object) int {
		return cmp.Or(strings.Compare(a.schema, b.schema), strings.Compare(a.table, b.table))
	})
	for _, at := range objects {
		missing := strings.Join(all.Missing(n[at], at.schema, at.table), ", ")
		if missing == "" {
			continue
		}
		on := dbserver.Quote(at.schema) + "." + dbserver.Quote(at.table)
		if p.live[at.table] == nil || at.schema != db { // a right on a table that is not there cannot be given
			on = all.Pattern(at.schema) + ".*"
		}
		p.obstruct(Obstacle{
			Table: at.table, Kind: ObstacleRight, Text: account + " lacks the right to " + missing,
			Fix: grant(missing + " ON " + on),
		})
	}
	return nil
}
