package usergraph

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/authgraph/authgraph/internal/entgraph"
)

// Rules is the text of rules.go: the project's own rule of who may use an account, and what a new user of it needs. It
// is written once and is the project's from then on.
func (g *Graph) Rules() ([]byte, error) {
	data := struct {
		Lines                   []string
		Imports, Rule, Argument string
	}{}
	imports := &imports{map[string]string{}}
	data.Rule = g.ruleCode(imports)
	filled, paths := g.fillIn()
	for _, path := range paths {
		imports.use(path, base(path))
	}
	for _, f := range filled {
		for line := range strings.Lines(f.comment) {
			data.Lines = append(data.Lines, "// "+strings.TrimRight(line, "\n"))
		}
		if f.code != "" {
			data.Lines, data.Argument = append(data.Lines, f.code), "create "
		}
	}
	if len(data.Lines) > 0 {
		data.Lines = append(data.Lines, "")
	}
	if len(imports.names) > 0 {
		data.Imports = imports.text()
	}
	return fill("rules.go", data)
}

// ruleColumn is a column that a rule asks.
var ruleColumn = regexp.MustCompile("u\\.`([^`]+)`")

// ruleCode is the rule as a Go expression, in which columns are the generated constants: a field that goes breaks the
// build, and not the first sign-in.
func (g *Graph) ruleCode(imports *imports) string {
	var code []string
	last := 0
	for _, at := range ruleColumn.FindAllStringSubmatchIndex(g.Rule, -1) {
		column := g.Rule[at[2]:at[3]]
		i := slices.IndexFunc(g.user.Fields, func(f *entgraph.Field) bool { return f.Column == column })
		if i < 0 {
			continue
		}
		code = append(code, strconv.Quote(g.Rule[last:at[2]]),
			imports.use(g.user.Package, g.packageName())+"."+g.user.Fields[i].Constant)
		last = at[3]
	}
	return strings.Join(append(code, strconv.Quote(g.Rule[last:])), " + ")
}

// Decision is what nobody but the project can know.
type Decision struct {
	// Field is the field or edge of the entity.
	Field string `json:"field"`
	// What says what package auth does until it is decided, and where to change it.
	What string `json:"what"`
}

// Decisions are what a new user needs beside what package auth knows, in the order in which FillIn sets it.
func (g *Graph) Decisions() (list []Decision) {
	lines, _ := g.fillIn()
	for _, f := range lines {
		list = append(list, Decision{f.field, f.what})
	}
	return list
}

// filled is a line of FillIn.
type filled struct {
	field, what, comment, code string
}

// fillIn are the lines for what the entity demands and nothing else gives, and the imports that they need.
func (g *Graph) fillIn() (lines []filled, imports []string) {
	add := func(name, kind, setter, value, why string) {
		f := filled{field: name, comment: fmt.Sprintf("TODO: decide what %s is for somebody who registers.", name)}
		if value == "" {
			f.what = fmt.Sprintf("the %s %s has to be there, and %s: set it in FillIn, or registering fails", kind,
				name, why)
			f.comment += fmt.Sprintf("\ncreate.%s(…)", setter)
		} else {
			f.what = fmt.Sprintf("the %s %s has to be there: FillIn sets %s until you decide", kind, name, value)
			f.code = fmt.Sprintf("create.%s(%s)", setter, value)
			if strings.Contains(value, "rand.") && !slices.Contains(imports, "crypto/rand") {
				imports = append(imports, "crypto/rand")
			}
			if strings.Contains(value, "time.") && !slices.Contains(imports, "time") {
				imports = append(imports, "time")
			}
		}
		lines = append(lines, f)
	}
	if id := g.user.ID; id.Declared && id.Required && !isInteger(id) {
		value := ""
		if id.Type == "string" && !id.Go.Custom {
			value = "rand.Text()"
		}
		add(id.Name, "field", id.Setter, value, "nothing makes one")
	}
	given := map[string]bool{}
	for _, c := range g.Columns {
		if c.Source != Absent && slices.Contains([]string{"created_at", "updated_at", "name", "email", "password",
			"provider", "is_email_verified", "last_login_at"}, c.Name) {
			given[c.Field] = true
		}
	}
	keys := map[string]bool{} // fields that hold the key of an edge
	for _, e := range g.user.Edges {
		if e.Field != "" {
			keys[e.Field] = true
		}
	}
	for _, f := range g.user.Fields {
		if !f.Required || given[f.Name] {
			continue
		}
		if keys[f.Name] {
			add(f.Name, "field", f.Setter, "", "it is the key of another row")
			continue
		}
		value, why := placeholder(f, unique(g.user, f))
		add(f.Name, "field", f.Setter, value, why)
	}
	for _, e := range g.user.Edges {
		if e.Unique && !e.Optional && e.Field == "" {
			add(e.Name, "edge", e.Setter, "", "it leads to another row")
		}
	}
	return lines, imports
}

// placeholder is a value of a field that breaks no other row; empty with the reason if there is none that is plain.
func placeholder(f *entgraph.Field, unique bool) (value, why string) {
	switch {
	case f.Go.Custom && f.Type != "enum":
		return "", "its values are of the type " + f.Go.Ident
	case f.Type == "string" && unique:
		if f.Size > 0 && f.Size < 26 {
			return fmt.Sprintf("rand.Text()[:%d]", f.Size), ""
		}
		return "rand.Text()", ""
	case unique:
		return "", "it is unique"
	case f.Type == "string":
		return `""`, ""
	case f.Type == "bool":
		return "false", ""
	case f.Type == "time":
		return "time.Now()", ""
	case f.Type == "bytes":
		return "[]byte{}", ""
	case isInteger(f), strings.HasPrefix(f.Type, "float"):
		return "0", ""
	case f.Type == "enum" && !f.Go.Custom:
		return "", "it is one of " + strings.Join(f.Enums, ", ")
	default:
		return "", "it is of Ent's type " + f.Type
	}
}

func isInteger(f *entgraph.Field) bool {
	return strings.HasPrefix(f.Type, "int") || strings.HasPrefix(f.Type, "uint")
}

// unique reports whether no two rows have one value of the field.
func unique(e *entgraph.Entity, f *entgraph.Field) bool {
	return f.Unique || slices.ContainsFunc(e.Indexes, func(i *entgraph.Index) bool {
		return i.Unique && len(i.Columns) == 1 && i.Columns[0] == f.Column
	})
}

// makeRule makes the rule of who may use an account: from what was asked for, and from what the fields that it does not
// ask are called. So a rule about one field lets nobody in whom another one excludes.
func (g *Graph) makeRule(asked string) error {
	if asked == "none" {
		return nil
	}
	rule, asks := "", map[string]bool{}
	if asked != "" {
		var err error
		if rule, asks, err = qualify(g.user, asked); err != nil {
			return err
		}
	}
	var conditions []string
	if rule != "" {
		conditions = append(conditions, rule)
	}
	for _, f := range g.user.Fields {
		if asks[f.Column] {
			continue
		}
		mapped := slices.IndexFunc(g.Columns, func(c Column) bool { return c.Field == f.Name && c.Source == Theirs })
		condition, undecided := "", false
		switch {
		case mapped < 0:
			condition, undecided = guessRule(f)
		case g.Columns[mapped].Name == "deleted_at":
			condition = g.deletedByThem(f)
		}
		if condition != "" {
			conditions = append(conditions, condition)
		}
		if undecided && asked == "" {
			g.undecided = append(g.undecided, f.Name)
		}
	}
	or := strings.Contains(strings.ToUpper(rule), "OR") || strings.Contains(rule, "||")
	if or && len(conditions) > 1 {
		conditions[0] = "(" + rule + ")"
	}
	g.Rule = strings.Join(conditions, " AND ")
	return nil
}

// deletedByThem excludes whom the project's own code deleted, where package auth keeps the time of a deletion in the
// field of theirs. What package auth deletes it also marks in is_deleted, and may bring back.
func (g *Graph) deletedByThem(f *entgraph.Field) string {
	kept := "u.`" + f.Column + "` IS NULL"
	switch c := g.column("is_deleted"); c.Source {
	case Added:
		return "(" + kept + " OR u.`" + c.Field + "` <> 0)"
	case Theirs:
		return "(" + kept + " OR u.`" + g.user.Field(c.Field).Column + "` <> 0)"
	default:
		return kept
	}
}

// guessRule is what a field says of who may use an account: nothing, a condition, or something that its name alone does
// not tell.
func guessRule(f *entgraph.Field) (condition string, undecided bool) {
	name := strings.ToLower(f.Name)
	column := "u.`" + f.Column + "`"
	number := isInteger(f)
	isBool := f.Type == "bool"
	zero := column + " = 0"
	if f.Optional {
		zero = "COALESCE(" + column + ", 0) = 0"
	}
	switch {
	case f.ValueScanner:
		return "", slices.Contains(states, name)
	case slices.Contains(ends, name) && f.Type == "time" && f.Optional:
		return column + " IS NULL", false
	case slices.Contains(ends, name) && number, slices.Contains(excluded, name) && isBool:
		return zero, false
	case slices.Contains(included, name) && isBool:
		return column + " = 1", false
	default:
		return "", slices.Contains(states, name) || slices.Contains(ends, name) || slices.Contains(excluded, name) ||
			slices.Contains(included, name)
	}
}

var (
	// ends are names of fields that say since when somebody is gone, or that he is.
	ends = strings.Fields(`deleted_at delete_time deleted_time deleted_on deletedat soft_deleted_at disabled_at
		banned_at blocked_at suspended_at closed_at deactivated_at archived_at removed_at is_deleted deleted`)
	excluded = strings.Fields(`is_deleted deleted is_banned banned is_disabled disabled is_blocked blocked is_suspended
		suspended is_deactivated deactivated is_archived archived is_inactive inactive`)
	included = strings.Fields(`is_active active is_enabled enabled`)
	// states are names of fields whose values mean what only the project knows.
	states = strings.Fields(`status state user_status account_status member_status account_state user_state banned_until
		blocked_until disabled_until`)
)

// clauses are words that end a condition, and stand in a subquery alone.
var clauses = strings.Fields(`UNION INTERSECT EXCEPT WHERE GROUP HAVING ORDER LIMIT WINDOW INTO`)

// qualify is a rule in which the columns of the entity's table belong to the row u, and the columns that it asks.
func qualify(user *entgraph.Entity, rule string) (_ string, asks map[string]bool, err error) {
	refuse := func(found string) error {
		return &Error{found: "the rule " + found, fix: "write one condition on the columns of " + user.Table +
			`, such as --rule "status = 1", or --rule none`}
	}
	columns := map[string]bool{user.ID.Column: true}
	for _, f := range user.Fields {
		columns[f.Column] = true
	}
	var out strings.Builder
	asks = map[string]bool{}
	depth, query := 0, 0 // query is how deep the brackets of a subquery are, whose names are those of its own tables
	for rest := rule; rest != ""; {
		before := strings.TrimRight(out.String(), " ")
		part := sqlToken(rest)
		rest = rest[len(part):]
		name := strings.Trim(part, "`")
		switch part {
		case "'", "`", `"`:
			return "", nil, refuse("has a quote that does not end")
		case ";", "--", "#", "/*", "?": // a question mark would take the place of a parameter
			return "", nil, refuse("has " + part + " in it")
		case "(":
			depth++
		case ")":
			if depth--; depth < 0 {
				return "", nil, refuse("closes more brackets than it opens")
			}
			if depth < query {
				query = 0
			}
		}
		clause := strings.ToUpper(part)
		ends := slices.Contains(clauses, clause) || depth == 0 && clause == "SELECT"
		if ends && query == 0 && !columns[name] {
			return "", nil, refuse("has " + clause + " outside of a subquery")
		}
		if query == 0 && strings.EqualFold(part, "SELECT") {
			query = max(1, depth)
		}
		if strings.Contains(part, `\`) {
			return "", nil, refuse(`has a \ in it, which MySQL and SQLite read each in its own way`)
		}
		word := part[0] == '`' || isWord(part[0]) && !isDigit(part[0])
		qualified := strings.HasSuffix(before, ".")
		next := strings.TrimLeft(rest, " ")
		switch {
		case word && qualified:
			switch ofUser := strings.HasSuffix("."+before, "u.") && !isWord(("." + before)[len(before)-2]); {
			case ofUser && columns[name]:
				asks[name] = true
			case ofUser && query == 0:
				return "", nil, refuse("asks u." + name + ", which " + user.Table + " does not have")
			}
			out.WriteString("`" + name + "`")
		case word && query == 0 && columns[name] && !strings.HasPrefix(next, "(") && !strings.HasPrefix(next, "."):
			asks[name] = true
			out.WriteString("u.`" + name + "`")
		default:
			out.WriteString(part)
		}
	}
	if depth != 0 {
		return "", nil, refuse("opens more brackets than it closes")
	}
	if len(asks) == 0 {
		return "", nil, refuse("asks no column of " + user.Table)
	}
	return strings.TrimSpace(out.String()), asks, nil
}

// sqlToken is the first part of an SQL condition: a text in quotes, a word, or a sign.
func sqlToken(s string) string {
	switch c := s[0]; {
	case c == '\'' || c == '`' || c == '"':
		if end := strings.IndexByte(s[1:], c); end >= 0 {
			return s[:end+2]
		}
		return s[:1]
	case isWord(c):
		end := 0
		for end < len(s) && isWord(s[end]) {
			end++
		}
		return s[:end]
	case strings.HasPrefix(s, "--"), strings.HasPrefix(s, "/*"):
		return s[:2]
	default:
		return s[:1]
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || isDigit(c) || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
