package dbserver

import (
	"regexp"
	"slices"
	"strings"
)

// Grant is a line of SHOW GRANTS that is about tables.
type Grant struct {
	// DB and Table are * for all; DB is a pattern where Table is *.
	DB, Table  string
	Privileges []string
	// Option is WITH GRANT OPTION.
	Option bool
	// Revoked is a REVOKE: what is taken out of a global privilege for one
	// database (MySQL manual, Privilege Restriction Using Partial Revokes).
	Revoked bool
}

// Grants are the rights of an account.
type Grants []Grant

var (
	grantLine = regexp.MustCompile(
		"^(GRANT|REVOKE) (.+?) ON (`(?:[^`]|``)*`|\\*)\\.(`(?:[^`]|``)*`|\\*) (?:TO|FROM) (.*)$")
	quotedName = regexp.MustCompile("`(?:[^`]|``)*`|'(?:[^'\\\\]|\\\\.)*'")
	// onColumns are the columns that a privilege is limited to.
	onColumns = regexp.MustCompile(`\([^)]*\)`)
)

// ParseGrants reads SHOW GRANTS, which without FOR includes what the active roles give. It leaves out roles, PROXY and
// routines, and privileges on single columns, which are too few for a client that reads whole rows.
func ParseGrants(lines []string) (all Grants) {
	for _, line := range lines {
		m := grantLine.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(m[2], "`") {
			continue
		}
		g := Grant{Revoked: m[1] == "REVOKE", DB: unquote(m[3]), Table: unquote(m[4])}
		g.Option = strings.Contains(quotedName.ReplaceAllString(m[5], ""), "GRANT OPTION")
		// A column's name may hold a comma or a bracket.
		list := onColumns.ReplaceAllString(quotedName.ReplaceAllString(m[2], ""), "()")
		for name := range strings.SplitSeq(list, ",") {
			name = strings.TrimSpace(name)
			if name != "USAGE" && !strings.HasSuffix(name, "()") {
				g.Privileges = append(g.Privileges, strings.TrimSuffix(name, " PRIVILEGES"))
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

// May reports whether they hold a privilege on a table of a database; the table
// * is all of them.
func (all Grants) May(privilege, db, table string) bool {
	taken := false
	for _, g := range all {
		taken = taken || g.Revoked && g.DB == db && g.has(privilege)
	}
	for _, g := range all {
		if g.Revoked || !g.has(privilege) {
			continue
		}
		switch {
		case g.DB == "*":
			if !taken {
				return true
			}
		case g.Table == "*":
			if like(g.DB, db) {
				return true
			}
		case g.DB == db && g.Table == table:
			return true
		}
	}
	return false
}

func (g Grant) has(privilege string) bool {
	return slices.Contains(g.Privileges, "ALL") || slices.Contains(g.Privileges, privilege)
}

// Missing are the privileges that they do not hold.
func (all Grants) Missing(privileges []string, db, table string) []string {
	return slices.DeleteFunc(slices.Clone(privileges), func(p string) bool { return all.May(p, db, table) })
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

// Grantee is an account as GRANT takes it.
func Grantee(account string) string {
	user, host := account, ""
	if at := strings.LastIndexByte(account, '@'); at >= 0 {
		user, host = account[:at], "@"+QuoteText(account[at+1:])
	}
	return QuoteText(user) + host
}

// Pattern is a database as the account's rights on all of its tables spell it, for GRANT. A server looks at one of
// several spellings only, so a right under another one would hide those that are there.
func (all Grants) Pattern(name string) string {
	for _, g := range all {
		if !g.Revoked && g.DB != "*" && g.Table == "*" && like(g.DB, name) {
			return Quote(g.DB)
		}
	}
	return Quote(name)
}
