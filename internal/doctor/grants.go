package doctor

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// grants are the rights of an account.
type grants dbserver.Grants

// parseGrants reads SHOW GRANTS, which without FOR includes what the active roles give.
func parseGrants(lines []string) grants { return grants(dbserver.ParseGrants(lines)) }

func (all grants) may(privilege, db, table string) bool {
	return dbserver.Grants(all).May(privilege, db, table)
}

func (all grants) missing(privileges []string, db, table string) []string {
	return dbserver.Grants(all).Missing(privileges, db, table)
}

// some reports whether they hold a privilege by which an account sees a table.
func (all grants) some(db, table string) bool {
	return slices.ContainsFunc(
		slices.Concat(runPrivileges, migratePrivileges),
		func(p string) bool { return all.may(p, db, table) },
	)
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
		if g.Revoked {
			continue
		}
		option = option || g.Option
		if g.DB == "*" {
			for _, p := range g.Privileges {
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
		d.granted, d.grants = lines, parseGrants(lines)
	}
	return d.grants, nil
}

// hidden reports whether a table that is not seen may be there all the same: an
// account sees only what it has some right on.
func (d *database) hidden(ctx context.Context, table string) bool {
	if slices.Contains(d.tables, table) {
		return false
	}
	return d.hiddenIn(ctx, d.url.Database(), table)
}

// hiddenIn is the same of a table in a schema.
func (d *database) hiddenIn(ctx context.Context, schema, table string) bool {
	if d.url.Dialect == dialect.SQLite {
		return false
	}
	all, err := d.rights(ctx)
	return err != nil || !all.some(schema, table)
}

// grant is the statement that gives the account a right.
func (d *database) grant(right string) string {
	return "GRANT " + right + " TO " + dbserver.Grantee(d.account) + ";"
}

// pattern is the database as the account's rights on all of its tables spell it.
func (d *database) pattern(all grants) string { return dbserver.Grants(all).Pattern(d.url.Database()) }

var (
	roleLine = regexp.MustCompile("^GRANT (`.*`) TO ")
	oneRole  = regexp.MustCompile("`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?")
)

// activate is the statement that makes roles of the account active, if these may do what the account may not; else it
// is empty.
func (d *database) activate(ctx context.Context, lacks func(grants) bool) string {
	var roles []string
	for _, line := range d.granted {
		if m := roleLine.FindStringSubmatch(line); m != nil {
			roles = append(roles, oneRole.FindAllString(m[1], -1)...)
		}
	}
	if !d.maria && len(roles) > 0 {
		together := strings.Join(roles, ", ")
		lines, err := list(ctx, d.db, "SHOW GRANTS FOR CURRENT_USER() USING "+together)
		if err == nil && !lacks(parseGrants(lines)) {
			return fmt.Sprintf("SET DEFAULT ROLE %s TO %s;", together, dbserver.Grantee(d.account))
		}
		return ""
	}
	for _, role := range roles {
		lines, err := d.grantsAs(ctx, role)
		if err == nil && !lacks(parseGrants(lines)) {
			return fmt.Sprintf("SET DEFAULT ROLE %s FOR %s;", role, dbserver.Grantee(d.account))
		}
	}
	return ""
}

// grantsAs is SHOW GRANTS with a role of the account, which MariaDB tells only while the role is active.
func (d *database) grantsAs(ctx context.Context, role string) ([]string, error) {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		// The pool does not keep a connection with another role.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}()
	if _, err := conn.ExecContext(ctx, "SET ROLE "+role); err != nil {
		return nil, err
	}
	return list(ctx, conn, "SHOW GRANTS")
}

func checkPrivileges(ctx context.Context, d *database) ([]Finding, error) {
	all, err := d.rights(ctx)
	if err != nil {
		return nil, err
	}
	db, pattern := d.url.Database(), d.pattern(all)
	off := d.tooFew(ctx, all, pattern)
	short := len(off) > 0
	if excess := all.excess(); len(excess) > 0 {
		_, host, _ := strings.Cut(d.account, "@")
		off = append(off, found(Warning, fmt.Sprintf("make an account for the service alone, then: "+
			"GRANT %s ON %s.* TO 'authgraph'@%s;", strings.Join(runPrivileges, ", "), dbserver.Quote(db),
			dbserver.QuoteText(host)),
			"%s holds %s, which a service does not need", d.account, strings.Join(excess, ", and ")))
	}
	if missing := all.missing(migratePrivileges, db, "*"); len(missing) > 0 {
		off = append(off, found(Info, "use another account for authgraph migrate, or: "+
			d.grant(strings.Join(missing, ", ")+" ON "+pattern+".*"), "%s may not migrate: it lacks %s", d.account,
			strings.Join(missing, ", ")))
	}
	if missing := all.missing(migratePrivileges, scratchExample, "*"); len(missing) > 0 {
		off = append(off, found(Info, "name an empty database with --dev-url, or: "+
			d.grant(strings.Join(append(missing, runPrivileges...), ", ")+" ON "+dbserver.Quote(scratchPattern)+".*"),
			"%s may not make a scratch database, which drift, migrate diff and migrate check work in", d.account))
	}
	if !short {
		off = append(off, found(OK, "", "%s may %s on the tables", d.account, strings.Join(runPrivileges, ", ")))
	}
	return off, nil
}

// tooFew are the findings of what a service may not do. Rights on each table are as good as those on the database.
func (d *database) tooFew(ctx context.Context, all grants, pattern string) (off []Finding) {
	db, tables := d.url.Database(), d.expected()
	if len(d.tables) == 0 {
		tables = []string{"*"}
	}
	lacks := func(g grants) bool {
		return slices.ContainsFunc(tables, func(table string) bool {
			return len(g.missing(runPrivileges, db, table)) > 0
		})
	}
	if !lacks(all) {
		return nil
	}
	active := d.activate(ctx, lacks)
	if active != "" {
		active = "a role of the account may, make it active: " + active
	}
	for _, table := range tables {
		missing := strings.Join(all.missing(runPrivileges, db, table), ", ")
		switch {
		case missing == "":
		case table == "*":
			off = append(off, found(Error, cmp.Or(active, d.grant(missing+" ON "+pattern+".*")), "%s may not %s",
				d.account, missing))
		default:
			right := missing + " ON " + dbserver.Quote(db) + "." + dbserver.Quote(table)
			off = append(off, found(Error, cmp.Or(active, d.grant(right)), "%s may not %s on table %q",
				d.account, missing, table))
		}
	}
	return off
}
