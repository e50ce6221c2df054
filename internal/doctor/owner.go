package doctor

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/registry"
)

// Misfit is a table of a project's users to which a foreign key cannot refer as the table is.
type Misfit struct {
	// Found says what is wrong, and where, and Fix what to do about it.
	Found, Fix string
}

func (m *Misfit) Error() string { return m.Found + ": " + m.Fix }

// Refers holds the table of a project's users, as it is on a server, against the foreign keys of the migrations in dir
// whose tables are not there yet. The migrations follow from the project's schema, which may say something else of the
// id than the database, such as of its collation: the server refuses the key then, when half of the file has run.
// The error is a [*Misfit] if it would.
func Refers(ctx context.Context, db dbserver.Queryer, users *registry.Users, dir directory.Dir) error {
	var columnType, collation, engine string
	there := false
	err := each(ctx, db, "SELECT c.COLUMN_TYPE, COALESCE(c.COLLATION_NAME, ''), COALESCE(t.ENGINE, '') "+
		"FROM information_schema.COLUMNS c JOIN information_schema.TABLES t "+
		"ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME WHERE c.TABLE_SCHEMA = DATABASE() AND "+
		"c.TABLE_NAME = '"+users.Table()+"' AND c.COLUMN_NAME = '"+users.Column("id")+"'",
		[]any{&columnType, &collation, &engine}, func() { there = true })
	if err != nil || !there {
		return err
	}
	made, err := list(ctx, db, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()")
	if err != nil {
		return err
	}
	files, err := dir.Files()
	if err != nil {
		return err
	}
	id := users.Table() + "." + users.Column("id")
	for _, f := range files {
		keys, changes := foreignKeys(f, users)
		if changes {
			return nil // what the id is by then is not known here
		}
		for _, key := range keys {
			if slices.Contains(made, key.table) {
				continue
			}
			found := fmt.Sprintf("%s is %s in the database, and %s.%s, which is to refer to it, becomes %s", id,
				strings.TrimSpace(columnType+" "+collation), key.table, key.column,
				strings.TrimSpace(key.columnType+" "+key.collation))
			switch {
			case !strings.EqualFold(engine, "InnoDB"):
				return &Misfit{
					fmt.Sprintf("the table %s is kept by %s, which has no foreign keys and no transactions",
						users.Table(), engine),
					fmt.Sprintf("ALTER TABLE %s ENGINE = InnoDB", dbserver.Quote(users.Table())),
				}
			case collation == "" && !sameType(columnType, key.columnType),
				collation != "" && !strings.Contains(strings.ToLower(key.columnType), "char"):
				return &Misfit{found, "declare the field id as the column is, and make the migration anew"}
			case collation != "" && fullName(collation) != fullName(key.collation):
				charset, _, _ := strings.Cut(key.collation, "_")
				return &Misfit{found, fmt.Sprintf("give the field id of the schema that collation and make the "+
					"migration anew (entsql.Annotation{Collation: %q}, for a UUID with a SchemaType of char(36)), or "+
					"ALTER TABLE "+
					"%s MODIFY %s %s CHARACTER SET %s COLLATE %s NOT NULL", collation,
					dbserver.Quote(users.Table()), dbserver.Quote(users.Column("id")), columnType, charset,
					key.collation)}
			}
		}
	}
	return nil
}

// foreignKey is a column that a migration makes, whose rows are to refer to users. A text has a collation.
type foreignKey struct{ table, column, columnType, collation string }

var (
	createTable = regexp.MustCompile("^CREATE TABLE `([^`]+)`")
	changed     = regexp.MustCompile(`(?i) (MODIFY|CHANGE|CONVERT) `)
	reference   = regexp.MustCompile("FOREIGN KEY \\(`([^`]+)`\\) REFERENCES `([^`]+)`")
	collated    = regexp.MustCompile(`\bCOLLATE[ =]+(\w+)`)
	typeEnd     = regexp.MustCompile(`(?i),?$| (NOT NULL|NULL|CHARACTER SET|CHARSET|COLLATE|DEFAULT|COMMENT)\b`)
	typeLength  = regexp.MustCompile(`\(\d+\)`)
)

// foreignKeys are those of the tables that a migration makes, as Ent writes them. Changes is whether it changes the
// columns of the users.
func foreignKeys(f atlas.File, users *registry.Users) (keys []foreignKey, changes bool) {
	stmts, err := f.StmtDecls()
	if err != nil { // whoever applies the file is told
		return nil, false
	}
	for _, s := range stmts {
		if strings.HasPrefix(s.Text, "ALTER TABLE "+dbserver.Quote(users.Table())) && changed.MatchString(s.Text) {
			return nil, true
		}
		table := createTable.FindStringSubmatch(s.Text)
		if table == nil {
			continue
		}
		options := s.Text[strings.LastIndexByte(s.Text, ')')+1:]
		for _, m := range reference.FindAllStringSubmatch(s.Text, -1) {
			_, line, ok := strings.Cut(s.Text, "\n  `"+m[1]+"` ")
			if m[2] != users.Table() || !ok {
				continue
			}
			line, _, _ = strings.Cut(line, "\n")
			key := foreignKey{table: table[1], column: m[1], columnType: line[:typeEnd.FindStringIndex(line)[0]]}
			if strings.Contains(strings.ToLower(key.columnType), "char") {
				for _, text := range []string{line, options} {
					if c := collated.FindStringSubmatch(text); c != nil {
						key.collation = c[1]
						break
					}
				}
			}
			keys = append(keys, key)
		}
	}
	return keys, false
}

// sameType reports whether two types of a column are the same but for a length, which a foreign key does not ask.
func sameType(a, b string) bool {
	return strings.EqualFold(typeLength.ReplaceAllString(a, ""), typeLength.ReplaceAllString(b, ""))
}

// fullName is a collation by the name that newer servers have for it.
func fullName(collation string) string {
	if rest, ok := strings.CutPrefix(collation, "utf8_"); ok {
		return "utf8mb3_" + rest
	}
	return collation
}
