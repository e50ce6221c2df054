package schemadoc

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/queryplan"
)

var (
	//go:embed page.html.tmpl
	pageText string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// Page is what the page shows.
type Page struct {
	// Title names the schema, Source says what kind of thing it was read from.
	Title, Source string
	// Database is the kind of the database, for readers: MySQL, MariaDB, SQLite. Release is its version.
	Database, Release string
	// Version is that of authgraph.
	Version string
	Schema  *Schema
	// Queries are empty where package auth does not use the schema.
	Queries []queryplan.Query
	// Directory is where the changes were read; empty where no migrations are known to belong to the schema.
	Directory string
	Changes   []Change
	// Notes are what the reader has to know about the migrations.
	Notes []string
	// NotCovered names what the page does not show.
	NotCovered []string
}

// Change is a statement of a migration that made or changed a table.
type Change struct {
	Table, File string
	Line        int
	SQL         string
}

// HTML is the page: one document that fetches nothing. Its policy tells the browser to admit its own style and script
// alone.
func HTML(p Page) ([]byte, error) {
	css := graphCSS + pageCSS
	view := view{
		Page:   p,
		CSS:    template.CSS(css),   //nolint:gosec // both are compiled in
		JS:     template.JS(pageJS), //nolint:gosec // as above
		Policy: policy(css, pageJS),
		Graph:  template.HTML(linked(p.Schema)), //nolint:gosec // every text in it was escaped

		GraphID: p.id("graph"), TablesID: p.id("tables"),
	}
	for i := range p.Schema.Tables {
		view.Tables = append(view.Tables, p.table(&p.Schema.Tables[i]))
	}
	var b bytes.Buffer
	if err := page.Execute(&b, view); err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return b.Bytes(), nil
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"count": english.Count,
	"join":  func(list []string) string { return strings.Join(list, ", ") },
	"lower": strings.ToLower,
}).Parse(pageText))

func policy(css, js string) string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + hash(css) + "; script-src " + hash(js) +
		"; img-src data:; base-uri 'none'; form-action 'none'"
}

// view is what the template sees.
type view struct {
	Page
	CSS    template.CSS
	JS     template.JS
	Policy string
	Graph  template.HTML
	Tables []tableView
	// GraphID and TablesID are the ids of the page's own parts. Those of the tables
	// are their names, so that an address can end in one.
	GraphID, TablesID string
}

// id is an id that no table has.
func (p Page) id(name string) string {
	for slices.ContainsFunc(p.Schema.Tables, func(t Table) bool { return t.Name == name }) {
		name += "-"
	}
	return name
}

type tableView struct {
	*Table
	Rows []columnView
	// Collations and Comments say whether any column has one.
	Collations, Comments bool
	Keys                 []indexView
	// Unplanned are the queries whose index is not there.
	Unplanned []queryView
	// RefBy are the tables that refer to this one.
	RefBy   []string
	Changes []Change
}

type columnView struct {
	Column
	Keys []string
}

type indexView struct {
	Index
	Primary bool
	// Known is set if package auth uses the table.
	Known   bool
	Queries []queryView
}

type queryView struct {
	SQL    string
	SentBy []string
	Sorted bool
	Index  string
}

func (p Page) table(t *Table) tableView {
	v := tableView{Table: t}
	for _, c := range t.Columns {
		v.Rows = append(v.Rows, columnView{c, t.keys(c.Name)})
		v.Collations = v.Collations || c.Collation != ""
		v.Comments = v.Comments || c.Comment != ""
	}
	if t.PrimaryKey != nil {
		v.Keys = append(v.Keys, indexView{Index: *t.PrimaryKey, Primary: true})
	}
	for _, i := range t.Indexes {
		v.Keys = append(v.Keys, indexView{Index: i})
	}
	p.assign(&v)
	for _, other := range p.Schema.Tables {
		if slices.ContainsFunc(other.ForeignKeys, func(fk ForeignKey) bool { return fk.RefTable == t.Name }) {
			v.RefBy = append(v.RefBy, other.Name)
		}
	}
	for _, c := range p.Changes {
		if c.Table == t.Name {
			v.Changes = append(v.Changes, c)
		}
	}
	return v
}

// assign gives each index the queries that use it.
func (p Page) assign(v *tableView) {
	known := false
	for _, q := range p.Queries {
		plan := q.Server
		if p.Database == "SQLite" {
			plan = q.SQLite
		}
		for _, a := range plan {
			if a.Table != v.Name {
				continue
			}
			known = true
			query := queryView{SQL: q.SQL, SentBy: q.SentBy, Sorted: a.Sorted, Index: a.Index}
			i := slices.IndexFunc(v.Keys, func(i indexView) bool {
				return i.Primary && a.IsPrimary() || i.Name == a.Index
			})
			if i < 0 {
				v.Unplanned = append(v.Unplanned, query)
			} else {
				v.Keys[i].Queries = append(v.Keys[i].Queries, query)
			}
		}
	}
	for i := range v.Keys {
		v.Keys[i].Known = known
	}
}
