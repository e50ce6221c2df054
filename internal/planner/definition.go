package planner

import (
	"regexp"
	"slices"
	"strings"

	"ariga.io/atlas/sql/schema"
)

// definition is a table in its server's own words, taken apart. It holds all that the table is. Atlas's model does not:
// there are parts that Atlas does not read, or prints in a way that the server refuses. It is an attribute of the Atlas
// table.
type definition struct {
	schema.Attr
	sql string
	// head is the statement that makes the table, up to and with the opening bracket.
	head  string
	parts []part
	// options is what follows the closing bracket.
	options string
	lite    bool
}

// What a part of a table is, as messages call it.
const (
	isColumn = "column"
	isIndex  = "index" // also the primary key
	isKey    = "foreign key"
	isCheck  = "check"
	isPeriod = "period"
	isTable  = "table" // its options
)

// primary is the name of the index that a primary key is.
const primary = "PRIMARY"

// part is a part of a table. The text is its whole clause, of an index of SQLite the statement that makes it.
type part struct {
	object, name, text string
	// parent is the table that a foreign key leads to; empty if that is in another database.
	parent string
	// columns are those of a foreign key, finds those that it leads to.
	columns, finds []string
	// loose is set for a foreign key to columns of which no unique index is, where the server refuses to make one.
	loose bool
}

// definitionOf is what the server said of a table; nil if that could not be read.
func definitionOf(t *schema.Table) *definition { return Attr[*definition](t.Attrs) }

// token is the length of what the text begins with: a quoted name or string, a comment, a word, or one character.
// MySQL's comments hold code, so only their brackets are tokens.
func token(s string, lite bool) int {
	quote := s[0]
	switch {
	case quote == '[' && lite:
		return max(1, strings.IndexByte(s, ']')+1)
	case quote == '`' || quote == '"' || quote == '\'':
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && quote == '\'' && !lite:
				i++
			case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
				i++
			case s[i] == quote:
				return i + 1
			}
		}
		return len(s)
	case lite && strings.HasPrefix(s, "--"):
		return endOr(s, "\n")
	case lite && strings.HasPrefix(s, "/*"):
		return endOr(s, "*/")
	}
	if n := len(word.FindString(s)); n > 0 {
		return n
	}
	return 1
}

// endOr is where a mark ends in a text, or the length of the text.
func endOr(s, mark string) int {
	if i := strings.Index(s, mark); i >= 0 {
		return i + len(mark)
	}
	return len(s)
}

var word = regexp.MustCompile(`^[\pL\pN_$]+`)

// tokens are those of a text, without spaces and, of SQLite, without comments.
func tokens(s string, lite bool) (found []string) {
	for len(s) > 0 {
		n := token(s, lite)
		t := s[:n]
		comment := lite && (strings.HasPrefix(t, "--") || strings.HasPrefix(t, "/*"))
		if strings.TrimSpace(t) != "" && !comment {
			found = append(found, t)
		}
		s = s[n:]
	}
	return found
}

// brackets takes a text apart at its first brackets and what stands between them at its commas.
func brackets(s string, lite bool) (head string, items []string, tail string) {
	depth, start := 0, 0
	for i := 0; i < len(s); {
		n := token(s[i:], lite)
		switch s[i : i+n] {
		case "(":
			if depth++; depth == 1 {
				head, start = s[:i+1], i+1
			}
		case ",":
			if depth == 1 {
				items, start = append(items, s[start:i]), i+1
			}
		case ")":
			if depth--; depth == 0 {
				items = append(items, s[start:i])
				for j := range items {
					items[j] = strings.TrimSpace(items[j])
				}
				return head, items, s[i+1:]
			}
		}
		i += n
	}
	return s, nil, ""
}

// counter is the one option that rows change.
var counter = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// define reads the statement that makes a table, as the server shows it.
func define(sql string, lite bool) *definition {
	d := &definition{sql: sql, lite: lite}
	var items []string
	d.head, items, d.options = brackets(sql, lite)
	if !lite {
		d.options = counter.ReplaceAllString(d.options, "")
	}
	for _, item := range items {
		p := parsePart(item, lite)
		if p.object == isColumn && !lite {
			p.text = inherited(p.text, d.options)
		}
		d.parts = append(d.parts, p)
	}
	if !lite {
		d.sql = d.create(nil)
	}
	return d
}

// inherited is the clause of a column without the collation that it has from its table: MySQL shows one where it was
// not told any, and shows another clause where it was.
func inherited(clause, options string) string {
	at := collated.FindStringIndex(clause)
	if at == nil || strings.Count(clause[:at[0]], "'")%2 > 0 {
		return clause
	}
	collate, ok := strings.CutPrefix(clause[at[0]:at[1]], " COLLATE ")
	if !ok || !strings.Contains(options+" ", " COLLATE="+collate+" ") {
		return clause
	}
	return clause[:at[0]] + clause[at[1]:]
}

// parsePart reads the clause of a part, which begins with what it is, or with the name of a column.
func parsePart(text string, lite bool) part {
	words := tokens(text, lite)
	if len(words) == 0 {
		return part{text: text}
	}
	p := part{object: isColumn, name: unquoteName(words[0]), text: text}
	at := func(i int) string {
		if i < len(words) {
			return strings.ToUpper(words[i])
		}
		return ""
	}
	first := 0
	switch at(0) {
	case "CONSTRAINT":
		p.name, first = unquoteName(words[min(1, len(words)-1)]), 2
	case "PRIMARY", "UNIQUE", "CHECK", "FOREIGN":
		p.name = ""
	case "FULLTEXT", "SPATIAL", "VECTOR", "KEY", "PERIOD":
		if lite {
			return p
		}
	default:
		return p
	}
	switch at(first) {
	case "PRIMARY":
		p.object, p.name = isIndex, primary
	case "FOREIGN":
		p.object = isKey
		p.lead(words[first:])
	case "CHECK":
		p.object = isCheck
	case "PERIOD":
		p.object, p.name = isPeriod, unquoteName(words[min(2, len(words)-1)])
	default:
		p.object = isIndex
		if i := slices.Index(words, "KEY"); i >= 0 && i+1 < len(words) && !lite {
			p.name = unquoteName(words[i+1])
		}
	}
	if p.name == "" {
		p.name = canonical(text, lite) // it has no other
	}
	return p
}

// lead reads where a foreign key leads to.
func (p *part) lead(words []string) {
	refers := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, "REFERENCES") })
	if refers < 0 || refers+1 >= len(words) {
		return
	}
	names := func(list []string) (found []string) {
		for _, w := range list {
			if w == ")" {
				break
			}
			if w != "(" && w != "," {
				found = append(found, unquoteName(w))
			}
		}
		return found
	}
	p.columns = names(words[min(2, refers):refers])
	if rest := words[refers+2:]; len(rest) > 0 && rest[0] == "." {
		return
	} else if len(rest) > 0 && rest[0] == "(" {
		p.finds = names(rest)
	}
	p.parent = unquoteName(words[refers+1])
}

// unquoteName is a name without its quotes.
func unquoteName(s string) string {
	switch s[0] {
	case '`', '"', '\'':
		return strings.ReplaceAll(s[1:max(1, len(s)-1)], s[:1]+s[:1], s[:1])
	case '[':
		return strings.Trim(s, "[]")
	}
	return s
}

// canonical is a text by which two definitions are compared. SQLite keeps a definition as it was written: there spaces,
// comments, the case of words and the kind of quotes around a name do not count.
func canonical(s string, lite bool) string {
	if !lite {
		return s
	}
	words := tokens(s, lite)
	for i, w := range words {
		switch w[0] {
		case '\'':
		case '`', '"', '[':
			if n := unquoteName(w); word.FindString(n) == n {
				words[i] = n
			} else {
				words[i] = `"` + n + `"`
			}
		default:
			words[i] = strings.ToLower(w)
		}
	}
	return strings.Join(words, " ")
}

// find is the part of a name.
func (d *definition) find(object, name string) (part, bool) {
	for _, p := range d.parts {
		if p.object == object && strings.EqualFold(p.name, name) {
			return p, true
		}
	}
	return part{}, false
}

// unique reports whether the primary key or a unique index is of just these columns.
func (d *definition) unique(columns []string) bool {
	return slices.ContainsFunc(d.parts, func(p part) bool {
		if p.object != isIndex || p.name != primary && !strings.HasPrefix(p.text, "UNIQUE") {
			return false
		}
		_, list, _ := brackets(p.text, d.lite)
		return slices.EqualFunc(list, columns, func(item, column string) bool {
			words := tokens(item, d.lite)
			return len(words) == 1 && strings.EqualFold(unquoteName(words[0]), column)
		})
	})
}

// keys are the foreign keys.
func (d *definition) keys() (keys []part) {
	for _, p := range d.parts {
		if p.object == isKey {
			keys = append(keys, p)
		}
	}
	return keys
}

// same reports whether two definitions are one.
func (d *definition) same(other *definition) bool {
	if d == nil || other == nil {
		return false
	}
	return canonical(d.head+d.options, d.lite) == canonical(other.head+other.options, d.lite) &&
		slices.EqualFunc(d.parts, other.parts, func(a, b part) bool {
			return a.object == b.object && canonical(a.text, d.lite) == canonical(b.text, d.lite)
		})
}

// create is the statement that makes the table, without the foreign keys that come later.
func (d *definition) create(later []part) string {
	if d.lite {
		return d.sql
	}
	var lines []string
	for _, p := range d.parts {
		if !slices.ContainsFunc(later, func(k part) bool { return k.text == p.text }) {
			lines = append(lines, p.text)
		}
	}
	return d.head + "\n  " + strings.Join(lines, ",\n  ") + "\n)" + d.options
}

// isStatement tells an index of SQLite that is made by a statement from a clause of its table, such as created_at.
func isStatement(text string) bool { return strings.EqualFold(word.FindString(text), "CREATE") }
