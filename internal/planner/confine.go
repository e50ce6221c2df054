package planner

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/directory"
)

// OutsideError is a statement that would reach beyond the dev database, where the tables of a service may be.
type OutsideError struct {
	// What is the other database or file, as the statement names it.
	What string

	option string
}

func (e *OutsideError) Error() string {
	return fmt.Sprintf("it reaches %s, and a replay must stay in its own database: leave that out of the file%s",
		e.What, e.option)
}

var (
	// otherSchema matches a statement that makes, changes, drops or enters a database.
	otherSchema = regexp.MustCompile(`(?i)^\s*(?:(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?:DATABASE|SCHEMA)\s+` +
		`(?:IF\s+(?:NOT\s+)?EXISTS\s+)?|USE\b\s*)` + ident)
	// schemaOption matches an option, which ALTER DATABASE takes in place of a name.
	schemaOption = regexp.MustCompile(`(?i)^(DEFAULT|CHARACTER|CHARSET|COLLATE|ENCRYPTION|READ|COMMENT|UPGRADE)$`)
	// otherFile matches what opens or writes another SQLite file.
	otherFile = regexp.MustCompile(`(?i)^\s*(ATTACH\b|VACUUM\s.*\bINTO\b|VACUUM\s+INTO\b)`)
	// qualified matches a name and the one that it is qualified with, after a word that only tables follow or without.
	qualified = regexp.MustCompile(`(?i)(\b(?:TABLES?|INTO|UPDATE|FROM|JOIN|REFERENCES|EXISTS|VIEW|TRIGGER|PROCEDURE|` +
		`FUNCTION|EVENT|SEQUENCE|TO|LIKE|TRUNCATE|CALL)\s*)?` + ident + `\s*\.\s*` + ident)
	// names matches each name and what follows it.
	names = regexp.MustCompile(ident + `(\s*\.)?`)
	// onServer matches statements that concern the server and its accounts, and leave the schema as it is.
	onServer = regexp.MustCompile(`(?i)^\s*(GRANT|REVOKE|FLUSH|RESET|PURGE|KILL|SHUTDOWN|RESTART|CLONE|CHANGE|START|` +
		`STOP|(UN)?INSTALL|BINLOG|(CREATE|ALTER|DROP|RENAME)\s+(OR\s+REPLACE\s+)?(USER|ROLE|SERVER|` +
		`TABLESPACE|LOGFILE|INSTANCE|RESOURCE)|` +
		`SET\s+(GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|DEFAULT\s+ROLE|@@GLOBAL|@@PERSIST))\b`)
	startsTransaction = regexp.MustCompile(`(?i)^\s*START\s+TRANSACTION\b`)
)

// readOnlySchemas hold no tables of anybody.
var readOnlySchemas = []string{"information_schema", "performance_schema", "sys"}

// Run executes one statement, given its code as in [directory.File] too. It is an [*OutsideError] if the statement
// names another database of the server or another file. A statement that concerns the server is left out: it has no
// part in the schema. So are locks.
func (d *Dev) Run(ctx context.Context, stmt, sql string) error {
	text := code(d.Dialect(), sql)
	if d.Dialect() == dialect.SQLite {
		if otherFile.MatchString(text) {
			return &OutsideError{What: "another file"}
		}
		if _, err := directory.Applies(dialect.SQLite, text, ""); err != nil {
			return err
		}
	} else {
		if directory.Replicates(text) || directory.Locks(text) {
			return nil
		}
		if onServer.MatchString(text) && !startsTransaction.MatchString(text) {
			return nil
		}
		if err := d.confine(ctx, stmt, sql); err != nil {
			return err
		}
	}
	_, err := d.db.Conn.ExecContext(ctx, stmt)
	return err
}

// names is the code of a statement with the names in it, which the session may allow to stand in double quotes.
func (d *Dev) names(ctx context.Context, stmt string) (text string, err error) {
	text = code(dialect.MySQL, stmt)
	if !strings.Contains(stmt, `"`) {
		return text, nil
	}
	err = d.db.Rows(ctx, "SELECT @@sql_mode", func(r []sql.NullString) {
		if strings.Contains(r[0].String, "ANSI_QUOTES") {
			text = code(dialect.SQLite, stmt) // there they always may
		}
	})
	return text, err
}

// others are the databases of the server, in small letters, without the own one and those that hold no tables of
// anybody.
func (d *Dev) others(ctx context.Context) (map[string]bool, error) {
	others := make(map[string]bool)
	err := d.db.Rows(ctx, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA", func(r []sql.NullString) {
		others[strings.ToLower(r[0].String)] = true
	})
	delete(others, strings.ToLower(d.db.URL.Database()))
	for _, name := range readOnlySchemas {
		delete(others, name)
	}
	return others, err
}

// staysInside is an [*OutsideError] if the code of a statement names another database.
func (d *Dev) staysInside(ctx context.Context, stmt string) error {
	text, err := d.names(ctx, stmt)
	if err != nil {
		return err
	}
	own := d.db.URL.Database()
	if m := otherSchema.FindStringSubmatch(text); m != nil && !schemaOption.MatchString(m[1]) {
		if name := unquote(m[1]); !strings.EqualFold(name, own) {
			return &OutsideError{fmt.Sprintf("database %q", name), " (mysqldump writes it with --databases only)"}
		}
	}
	pairs := qualified.FindAllStringSubmatch(text, -1)
	if len(pairs) == 0 {
		return nil
	}
	// Where a column may stand, a name that also stands alone in the statement is that of a table or an alias.
	alone := make(map[string]bool)
	for _, m := range names.FindAllStringSubmatch(text, -1) {
		if m[2] == "" {
			alone[strings.ToLower(unquote(m[1]))] = true
		}
	}
	others, err := d.others(ctx)
	if err != nil {
		return err
	}
	for _, m := range pairs {
		name := unquote(m[2])
		if key := strings.ToLower(name); others[key] && (m[1] != "" || !alone[key]) {
			return &OutsideError{What: fmt.Sprintf("database %q", name)}
		}
	}
	return nil
}
