// Package owntest writes Ent projects that have a user of their own, for tests of what attaches the auth graph to one.
package owntest

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/rogpeppe/go-internal/txtar"
)

//go:embed project.txtar
var project string

// The dimensions of the matrix.
var (
	IDs       = []string{"int", "int32", "int64", "uuid", "string", "xid", "array"}
	Databases = []string{"mysql", "mariadb", "sqlite", "mattn"}
	Profiles  = []string{"whole", "plain", "minimal"}
)

// Variant is one project.
type Variant struct {
	ID       string // of IDs
	Database string // of Databases; mattn is SQLite with the driver of that name
	Profile  string // of Profiles
	// Bare is whether its schema has none of these: a mixin, a hook that hashes passwords and refuses what bcrypt
	// refuses, soft deletion, a privacy policy. Such a project imports no ent/runtime, and its program does all of it.
	Bare bool
	// Versioned is whether it has migrations of its own in Atlas's format, rather than Ent's Schema.Create.
	Versioned bool
	// OwnSessions is whether it has an edge named sessions of its own.
	OwnSessions bool
	// Template is whether it generates more than the client, for all entities.
	Template bool
	// Number is whether its status is a number, rather than an enum.
	Number bool
}

// Gate are the projects of each run. Between them they have every database, every profile and what else a Variant may
// have, with and without.
var Gate = []Variant{
	{ID: "uuid", Database: "mysql", Profile: "whole", OwnSessions: true, Template: true},
	{ID: "int", Database: "mariadb", Profile: "minimal", Bare: true, Versioned: true, Number: true},
	{ID: "xid", Database: "sqlite", Profile: "plain", Versioned: true, Number: true},
	{ID: "array", Database: "mattn", Profile: "minimal", Template: true},
}

// Matrix is every id type on every database with every profile.
func Matrix() (all []Variant) {
	n := 0
	for _, id := range IDs {
		for _, database := range Databases {
			for _, profile := range Profiles {
				bit := func(i int) bool { return n>>i&1 == 1 }
				all = append(all, Variant{
					ID: id, Database: database, Profile: profile,
					Bare: bit(0), Versioned: bit(1), OwnSessions: bit(2), Template: bit(3), Number: bit(4),
				})
				n += 7
			}
		}
	}
	return all
}

func (v Variant) String() string { return v.ID + "-" + v.Database + "-" + v.Profile }

// SQLite reports whether its database is a file.
func (v Variant) SQLite() bool { return v.Database == "sqlite" || v.Database == "mattn" }

// OwnID reports whether it has an id type of its own.
func (v Variant) OwnID() bool { return v.ID == "xid" || v.ID == "array" }

// Features are those that its generator has.
func (v Variant) Features() string {
	features := "sql/execquery,sql/lock,sql/modifier,sql/upsert"
	if !v.Bare {
		features += ",privacy,intercept,schema/snapshot"
	}
	return features
}

// Driver is the import path of its driver.
func (v Variant) Driver() string {
	switch v.Database {
	case "sqlite":
		return "modernc.org/sqlite"
	case "mattn":
		return "github.com/mattn/go-sqlite3"
	}
	return "github.com/go-sql-driver/mysql"
}

// DriverName is the name of its driver of SQLite.
func (v Variant) DriverName() string {
	if v.Database == "mattn" {
		return "sqlite3"
	}
	return "sqlite"
}

// Declaration is of the field id.
type Declaration struct {
	Imports []string
	Field   string
}

// Declared is the declaration of the id; nil for Ent's own, which is an int.
func (v Variant) Declared() *Declaration {
	const ent, dialect, field = "entgo.io/ent", "entgo.io/ent/dialect", "entgo.io/ent/schema/field"
	switch v.ID {
	case "int32":
		return &Declaration{[]string{ent, field}, `field.Int32("id")`}
	case "int64":
		return &Declaration{[]string{ent, field}, `field.Int64("id")`}
	case "uuid":
		return &Declaration{[]string{ent, field, "github.com/google/uuid"},
			`field.UUID("id", uuid.UUID{}).Default(uuid.New)`}
	case "string":
		return &Declaration{[]string{"crypto/rand", ent, field}, `field.String("id").MaxLen(26).DefaultFunc(rand.Text)`}
	case "xid":
		return &Declaration{[]string{ent, dialect, dialect + "/entsql", field, "example.com/club/clubid"},
			`field.String("id").GoType(clubid.ID("")).DefaultFunc(clubid.New).
		SchemaType(map[string]string{dialect.MySQL: "char(20)"}).
		Annotations(entsql.Annotation{Charset: "ascii", Collation: "ascii_bin"})`}
	case "array":
		// Without a type SQLite would take digits around one e for a number.
		return &Declaration{[]string{ent, dialect, field, "example.com/club/clubid"},
			`field.UUID("id", clubid.ID{}).Default(clubid.New).
		SchemaType(map[string]string{dialect.MySQL: "char(32)", dialect.SQLite: "text"})`}
	}
	return nil
}

// Ban is the call of the builder that bans a member.
func (v Variant) Ban() string {
	if v.Number {
		return "SetState(9)"
	}
	return "SetStatus(member.StatusBanned)"
}

// Banned is how a member is seen to be banned.
func (v Variant) Banned() string {
	if v.Number {
		return "State == 9"
	}
	return "Status == member.StatusBanned"
}

// Rule is, in SQL, who may sign in, beside who is not deleted.
func (v Variant) Rule() string {
	if v.Number {
		return "state <> 9"
	}
	return "status = 'active'"
}

// The parts of a project, in the order in which they can be written.
const (
	Project = "project" // all but go.mod
	Later   = "later"   // needs the client
	Tests   = "tests"   // needs package auth
)

// Write writes a part of the project into dir.
func (v Variant) Write(dir, part string) error {
	parsed, err := template.New("").Delims("[[", "]]").Parse(project)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := parsed.Execute(&text, v); err != nil {
		return err
	}
	for _, file := range txtar.Parse([]byte(text.String())).Files {
		name, ok := strings.CutPrefix(file.Name, part+"/")
		if !ok {
			continue
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, file.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
