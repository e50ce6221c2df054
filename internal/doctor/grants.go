package doctor

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// grant is a line of SHOW GRANTS that is about tables.
type grant struct {
	// db and table are * for all; db is a pattern where table is *.
	db, table  string
	privileges []string
	// option is WITH GRANT OPTION.
	option bool
	// revoked is a REVOKE: what is taken out of a global privilege for one
	// database (MySQL manual, Privilege Restriction Using Partial Revokes).
	revoked bool
}

type grants []grant

var (
	grantLine = regexp.MustCompile(
		"^(GRANT|REVOKE) (.+?) ON (`(?:[^`]|``)*`|\\*)\\.(`(?:[^`]|``)*`|\\*) (?:TO|FROM) (.*)$")
	quoted = regexp.MustCompile("`(?:[^`]|``)*`|'(?:[^'\\\\]|\\\\.)*'")
	// columns are the columns that a privilege is limited to.
	columns = regexp.MustCompile(`\([^)]*\)`)
)

// parseGrants reads SHOW GRANTS, which without FOR includes what the active roles give. It leaves out roles, PROXY and
// routines, and privileges on single columns, which are too few for a client that reads whole rows.
func parseGrants(lines []string) (all grants) {
	for _, line := range lines {
		m := grantLine.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(m[2], "`") {
			continue
		}
		g := grant{revoked: m[1] == "REVOKE", db: unquote(m[3]), table: unquote(m[4])}
		g.option = strings.Contains(quoted.ReplaceAllString(m[5], ""), "GRANT OPTION")
		// A column's name may hold a comma or a bracket.
		list := columns.ReplaceAllString(quoted.ReplaceAllString(m[2], ""), "()")
		for name := range strings.SplitSeq(list, ",") {
			name = strings.TrimSpace(name)
			if name != "USAGE" && !strings.HasSuffix(name, "()") {
				g.privileges = append(g.privileges, strings.TrimSuffix(name, " PRIVILEGES"))
			}
		}
		all = append(all, g)
	}
	return all
}

func unquote(name string) string {
	if len(name) > 1 {
		return strings.ReplaceAll(name[1:len(name)-1], "``", "`")
	}
	return name
}

// may reports whether they hold a privilege on a table of a database; the table
// * is all of them.
func (all grants) may(privilege, db, table string) bool {
	taken := false
	for _, g := range all {
		taken = taken || g.revoked && g.db == db && g.has(privilege)
	}
	for _, g := range all {
		if g.revoked || !g.has(privilege) {
			continue
		}
		switch {
		case g.db == "*":
			if !taken {
				return true
			}
		case g.table == "*":
			if like(g.db, db) {
				return true
			}
		case g.db == db && g.table == table:
			return true
		}
	}
	return false
}

func (g grant) has(privilege string) bool {
	return slices.Contains(g.privileges, "ALL") || slices.Contains(g.privileges, privilege)
}

// missing are the privileges that they do not hold.
func (all grants) missing(privileges []string, db, table string) []string {
	return slices.DeleteFunc(slices.Clone(privileges), func(p string) bool { return all.may(p, db, table) })
}

// some reports whether they hold a privilege by which an account sees a table.
func (all grants) some(db, table string) bool {
	return slices.ContainsFunc(
		slices.Concat(runPrivileges, migratePrivileges),
		func(p string) bool { return all.may(p, db, table) },
	)
}

// like matches a database's name against a pattern with _, % and \ (MySQL manual, GRANT Statement).
func like(pattern, name string) bool {
	expr := "^"
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			expr += regexp.QuoteMeta(pattern[i : i+1])
		case c == '_':
			expr += "."
		case c == '%':
			expr += ".*"
		case c >= 0x80:
			expr += pattern[i : i+1]
		default:
			expr += regexp.QuoteMeta(string(c))
		}
	}
	matched, err := regexp.MatchString(expr+"$", name)
	return err == nil && matched
}

// harmless are global privileges that a service account may well have: they show how the server does.
var harmless = []string{
	"PROCESS",
	"REPLICATION CLIENT",
	"BINLOG MONITOR",
	"SLAVE MONITOR",
	"REPLICA MONITOR",
	"SHOW DATABASES",
}

// excess says what they hold beyond what a service needs.
func (all grants) excess() (what []string) {
	var global []string
	option := false
	for _, g := range all {
		if g.revoked {
			continue
		}
		option = option || g.option
		if g.db == "*" {
			for _, p := range g.privileges {
				if !slices.Contains(harmless, p) {
					global = append(global, p)
				}
			}
		}
	}
	slices.Sort(global)
	// The gravest are to be among those that are named.
	for _, p := range []string{"DELETE", "SELECT", "FILE", "CREATE USER", "SUPER", "ALL"} {
		if i := slices.Index(global, p); i >= 0 {
			global = slices.Insert(slices.Delete(global, i, i+1), 0, p)
		}
	}
	if len(global) > 0 {
		what = append(what, enumerate(slices.Compact(global))+" on *.*")
	}
	if option {
		what = append(what, "GRANT OPTION")
	}
	return what
}

// The privileges that are needed, and what for.
var (
	runPrivileges     = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
	migratePrivileges = []string{"CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"}
)

// scratchPattern is the names of scratch databases, as GRANT takes it, and scratchExample one of them.
const (
	scratchPattern = `authgraph\_dev\_%`
	scratchExample = "authgraph_dev_0123456789ab"
)

// rights are those of the account.
func (d *database) rights(ctx context.Context) (grants, error) {
	if d.grants == nil {
		lines, err := list(ctx, d.db, "SHOW GRANTS")
		if err != nil {
			return nil, err
		}
		d.grants = parseGrants(lines)
	}
	return d.grants, nil
}

// hidden reports whether a table that is not seen may be there all the same: an
// account sees only what it has some right on.
func (d *database) hidden(ctx context.Context, table string) bool {
	if d.url.Dialect == dialect.SQLite || slices.Contains(d.tables, table) {
		return false
	}
	all, err := d.rights(ctx)
	return err != nil || !all.some(d.url.Database(), table)
}

func checkPrivileges(ctx context.Context, d *database) ([]Finding, error) {
	var account string
	if err := d.db.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&account); err != nil {
		return nil, err
	}
	all, err := d.rights(ctx)
	if err != nil {
		return nil, err
	}
	db := d.url.Database()
	to := grantee(account)
	var off []Finding
	short := false
	switch missing := all.missing(runPrivileges, db, "*"); {
	case len(missing) > 0 && len(d.tables) == 0:
		short = true
		off = append(off,
			found(Error, fmt.Sprintf("GRANT %s ON %s.* TO %s", strings.Join(missing, ", "), dbserver.Quote(db), to),
				"%s may not %s", account, strings.Join(missing, ", ")))
	case len(missing) > 0:
		// Granted table by table is enough, too.
		for _, table := range d.expected() {
			if missing := all.missing(runPrivileges, db, table); len(missing) > 0 {
				short = true
				off = append(off, found(Error,
					fmt.Sprintf("GRANT %s ON %s.%s TO %s",
						strings.Join(missing, ", "), dbserver.Quote(db), dbserver.Quote(table),
						to), "%s may not %s on table %q", account, strings.Join(missing, ", "), table))
			}
		}
	}
	if excess := all.excess(); len(excess) > 0 {
		off = append(off, found(Warning, fmt.Sprintf("give the service an account of its own: GRANT %s ON %s.* TO …",
			strings.Join(runPrivileges, ", "), dbserver.Quote(db)),
			"%s holds %s, which a service does not need", account,
			strings.Join(excess, ", and ")))
	}
	if missing := all.missing(migratePrivileges, db, "*"); len(missing) > 0 {
		off = append(off,
			found(Info, fmt.Sprintf("use another account for authgraph migrate, or: GRANT %s ON %s.* TO %s",
				strings.Join(missing, ", "), dbserver.Quote(db), to), "%s may not migrate: it lacks %s", account,
				strings.Join(missing, ", ")))
	}
	if missing := all.missing(migratePrivileges, scratchExample, "*"); len(missing) > 0 {
		off = append(off, found(Info, fmt.Sprintf("name an empty database with --dev-url, or: GRANT %s ON %s.* TO %s",
			strings.Join(append(missing, runPrivileges...), ", "), dbserver.Quote(scratchPattern), to),
			"%s may not make a scratch database, which drift, migrate diff and migrate check work in", account))
	}
	if !short {
		off = append(off, found(OK, "", "%s may %s on the tables", account, strings.Join(runPrivileges, ", ")))
	}
	return off, nil
}

// grantee is an account as GRANT takes it.
func grantee(account string) string {
	at := strings.LastIndexByte(account, '@')
	if at < 0 {
		return dbserver.Quote(account)
	}
	return dbserver.Quote(account[:at]) + "@" + dbserver.Quote(account[at+1:])
}
