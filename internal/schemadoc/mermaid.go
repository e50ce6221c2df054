package schemadoc

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Mermaid is the schema as a Mermaid entity-relationship diagram. What the
// language has no way to write in a name is written as an underscore.
func Mermaid(s *Schema) string {
	var b strings.Builder
	b.WriteString("erDiagram\n")
	for _, t := range s.Tables {
		for _, fk := range t.ForeignKeys {
			one, many := "||", "o{"
			if t.optional(fk) {
				one = "|o"
			}
			if t.unique(fk) {
				many = "o|"
			}
			fmt.Fprintf(&b, "    %s %s--%s %s : \"%s\"\n", entity(fk.RefTable), one, many, entity(t.Name),
				quotable(strings.Join(fk.Columns, ", ")))
		}
	}
	for _, t := range s.Tables {
		fmt.Fprintf(&b, "    %s {\n", entity(t.Name))
		for _, c := range t.Columns {
			fmt.Fprintf(&b, "        %s\n", attribute(&t, c))
		}
		b.WriteString("    }\n")
	}
	return b.String()
}

// attribute is one line of an entity: type, name, keys, note.
func attribute(t *Table, c Column) string {
	line := word(c.shortType()) + " " + word(c.Name)
	if keys := t.keys(c.Name); len(keys) > 0 {
		line += " " + strings.Join(keys, ", ")
	}
	var notes []string
	if len(c.Values) > 0 {
		notes = append(notes, strings.Join(c.Values, " | "))
	}
	if c.Null {
		notes = append(notes, "null")
	}
	if len(notes) > 0 {
		line += fmt.Sprintf(" \"%s\"", quotable(strings.Join(notes, ", ")))
	}
	return line
}

// shortType is the type without its values.
func (c Column) shortType() string {
	if len(c.Values) > 0 {
		name, _, _ := strings.Cut(c.Type, "(")
		return name
	}
	return c.Type
}

var (
	plainEntity = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// keywords begin something else than the name of an entity.
	keywords = []string{"class", "classdef", "direction", "end", "erdiagram", "many", "one", "only", "optionally",
		"style", "subgraph", "to", "u", "zero"}
	notWord = regexp.MustCompile(`[^A-Za-z0-9_()\[\]\x{C0}-\x{FFFF}-]`)
	noWord  = regexp.MustCompile(`^[^A-Za-z_\x{C0}-\x{FFFF}]|^(?i:[pfu]k)$`)
)

func entity(name string) string {
	if plainEntity.MatchString(name) && !slices.Contains(keywords, strings.ToLower(name)) {
		return name
	}
	return `"` + quotable(name) + `"`
}

// word is a name or a type as the language takes it in an entity.
func word(text string) string {
	text = notWord.ReplaceAllString(text, "_")
	if text == "" || noWord.MatchString(text) {
		text = "_" + text
	}
	return text
}

// quotable is a text that can stand in quotes.
func quotable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '"' || r == '%' || r == '\\' || r < ' ' {
			return '_'
		}
		return r
	}, text)
}
