package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/planner"
)

const name = "(`(?:[^`]|``)+`|[\\pL\\pN_$]+)"

var (
	replaces = regexp.MustCompile(`(?i)^\s*CREATE\s+OR\s+REPLACE\s+TABLE\s+` + name)
	empties  = regexp.MustCompile(`(?i)^\s*TRUNCATE\s+(?:TABLE\s+)?` + name)
	clears   = regexp.MustCompile(`(?i)\b(DROP|TRUNCATE)\s+(?:PARTITION\b|SYSTEM\s+VERSIONING\b)`)
	drops    = regexp.MustCompile(`(?i)\bDROP\s+(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?` + name)
	adds     = regexp.MustCompile(`(?i)\bADD\s+(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?` + name)
	// noColumn are the words that stand there for another part of a table.
	noColumn = regexp.MustCompile(`(?i)^(?:INDEX|KEY|PRIMARY|UNIQUE|FULLTEXT|SPATIAL|VECTOR|FOREIGN|CONSTRAINT|CHECK|` +
		`PARTITION|PERIOD|SYSTEM|DEFAULT|COLUMN)$`)
)

// losing says which rows or values a statement, given its code, loses although the schema that it leaves does not show
// that: the same table or column is there again. It is empty if there are none; from is the schema before it.
func losing(code string, from *schema.Schema, existed func(table string) bool) string {
	for _, of := range []struct {
		re   *regexp.Regexp
		text string
	}{
		{replaces, "drops table %q with its rows and makes it anew: make a backup, or alter the table"},
		{empties, "deletes all rows of table %q: make a backup, if they count"},
	} {
		if m := of.re.FindStringSubmatch(code); m != nil && existed(unquote(m[1])) {
			return fmt.Sprintf(of.text, unquote(m[1]))
		}
	}
	alter := planner.ParseAlter(code)
	if alter == nil || alter.OnIndex || !existed(alter.Table) {
		return ""
	}
	if m := clears.FindString(alter.Code); m != "" {
		return fmt.Sprintf("loses the rows of a part of table %q (%s): make a backup of them", alter.Table,
			strings.ToUpper(strings.Join(strings.Fields(m), " ")))
	}
	table, ok := from.Table(alter.Table)
	if !ok {
		return ""
	}
	added := adds.FindAllStringSubmatch(alter.Code, -1)
	for _, d := range drops.FindAllStringSubmatch(alter.Code, -1) {
		anew := func(a []string) bool { return strings.EqualFold(unquote(a[1]), unquote(d[1])) }
		c, ok := table.Column(unquote(d[1]))
		if !ok || noColumn.MatchString(d[1]) || !slices.ContainsFunc(added, anew) {
			continue
		}
		if planner.Attr[*schema.GeneratedExpr](c.Attrs) == nil {
			return fmt.Sprintf("drops column %q with its values and makes it anew: make a backup, or modify it", c.Name)
		}
	}
	return ""
}

func unquote(name string) string {
	if !strings.HasPrefix(name, "`") {
		return name
	}
	return strings.ReplaceAll(strings.Trim(name, "`"), "``", "`")
}
