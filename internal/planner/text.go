package planner

import (
	"fmt"
	"regexp"
	"strconv"

	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// onlyGo matches a text in double quotes with an escape that MySQL does not have.
var onlyGo = regexp.MustCompile(`(?s)^"(?:[^\\]|\\[^xuUavf])*\\[xuUavf].*"$`)

// quoteTexts writes the comments and the default texts of changes as a server reads them, and returns what makes them
// plain again. Atlas takes a text that begins and ends with a quote to be written so already; it writes every other one
// as Go does, whose \x1b is no escape of MySQL's.
func quoteTexts(changes []schema.Change) (undo func()) {
	plain := map[*schema.Comment]string{}
	literals := map[*schema.Literal]string{}
	inAttrs := func(attrs ...schema.Attr) {
		for _, a := range attrs {
			if c, ok := a.(*schema.Comment); ok {
				plain[c] = c.Text
			}
		}
	}
	inColumn := func(c *schema.Column) {
		inAttrs(c.Attrs...)
		if l, ok := c.Default.(*schema.Literal); ok && onlyGo.MatchString(l.V) {
			literals[l] = l.V
		}
	}
	var in func([]schema.Change)
	in = func(changes []schema.Change) {
		for _, c := range changes {
			switch c := c.(type) {
			case *schema.AddTable:
				inAttrs(c.T.Attrs...)
				for _, col := range c.T.Columns {
					inColumn(col)
				}
				for _, i := range c.T.Indexes {
					inAttrs(i.Attrs...)
				}
			case *schema.ModifyTable:
				in(c.Changes)
			case *schema.AddColumn:
				inColumn(c.C)
			case *schema.ModifyColumn:
				inColumn(c.To)
			case *schema.AddIndex:
				inAttrs(c.I.Attrs...)
			case *schema.ModifyIndex:
				inAttrs(c.To.Attrs...)
			case *schema.AddAttr:
				inAttrs(c.A)
			case *schema.ModifyAttr:
				inAttrs(c.To)
			}
		}
	}
	in(changes)
	for c, text := range plain {
		c.Text = dbserver.QuoteText(text)
	}
	for l, v := range literals {
		if text, err := strconv.Unquote(v); err == nil {
			l.V = dbserver.QuoteText(text)
		}
	}
	return func() {
		for c, text := range plain {
			c.Text = text
		}
		for l, v := range literals {
			l.V = v
		}
	}
}

// goEscape matches an escape of Go's, and with it the backslash that is none.
var goEscape = regexp.MustCompile(`\\(\\|x[0-9a-f]{2}|[abfv])`)

// hclEscapes writes the escapes of Go's that are left in HCL, where a type or a condition was quoted, as HCL reads them
// (HCL Native Syntax Specification, Quoted Template Expressions).
func hclEscapes(hcl []byte) []byte {
	return goEscape.ReplaceAllFunc(hcl, func(escape []byte) []byte {
		switch escape[1] {
		case '\\':
			return escape
		case 'x':
			return append([]byte(`\u00`), escape[2:]...)
		}
		r, _, _, _ := strconv.UnquoteChar(string(escape), '"') // it is one of those that Go has
		return fmt.Appendf(nil, `\u%04x`, r)
	})
}
