package planner

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/directory"
)

var (
	// setsServer matches a setting of the server behind another one.
	setsServer = regexp.MustCompile(`(?is)^\s*SET\b.*,\s*(?:(?:GLOBAL|PERSIST|PERSIST_ONLY)\s+|` +
		`@@(?:GLOBAL|PERSIST|PERSIST_ONLY)\s*\.\s*)[\w.]+\s*:?=`)
	// program matches a statement that holds others, and serverIn such a one that concerns the server.
	program  = regexp.MustCompile(`(?is)^\s*(?:CREATE\b.*?\b(?:PROCEDURE|EVENT)\b|BEGIN\s+NOT\s+ATOMIC\b)`)
	serverIn = regexp.MustCompile("(?i)(?:^|[^`.\\w@$])(?:(?:GRANT|REVOKE|KILL|PURGE|FLUSH|SHUTDOWN)\\s|" +
		`(?:CREATE|ALTER|DROP|RENAME)\s+(?:OR\s+REPLACE\s+)?(?:USER|ROLE|SERVER|TABLESPACE|DATABASE|SCHEMA)\s|` +
		`SET\s+(?:GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|@@GLOBAL|@@PERSIST)\b)`)
	// prepares matches a statement that executes a text, or keeps it to be executed.
	prepares = regexp.MustCompile(`(?i)^\s*(?:PREPARE\s+` + ident + `\s+FROM\b|EXECUTE\s+IMMEDIATE\b)`)
	// dynamic matches what executes texts anywhere in a statement, and a call, which may be given a part of one.
	dynamic = regexp.MustCompile(`(?i)\bPREPARE\s+` + ident + `\s+FROM\b|\bEXECUTE\s+IMMEDIATE\b|^\s*CALL\b`)
	using   = regexp.MustCompile(`(?i)\bUSING\b`)
	// quoted matches the texts and the quoted names in the code of a statement.
	quoted = regexp.MustCompile("(?s)'[^']*'|\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`")
	// looksUp matches a search for databases or in all of them, unless it asks for the one in use.
	looksUp = regexp.MustCompile(`(?i)\binformation_schema\b|\bSHOW\s+(?:DATABASES|SCHEMAS)\b`)
	inUse   = regexp.MustCompile(`(?i)\b(?:DATABASE|SCHEMA)\s*\(`)
)

// confine is an [*OutsideError] if a statement, given its code too, reaches another database or the server, also by a
// text that it executes.
func (d *Dev) confine(ctx context.Context, stmt, sql string) error {
	text := code(dialect.MySQL, sql)
	holds := program.MatchString(text)
	switch {
	case setsServer.MatchString(text):
		return &OutsideError{What: "the settings of the server"}
	case holds && serverIn.MatchString(text):
		return &OutsideError{What: "the server"}
	}
	if err := d.staysInside(ctx, sql); err != nil || !dynamic.MatchString(text) {
		return err
	}
	if holds && looksUp.MatchString(text) && !inUse.MatchString(text) {
		return &OutsideError{What: "databases that it looks up"}
	}
	if len(stmt) != len(sql) {
		stmt = sql
	}
	for _, at := range quoted.FindAllStringIndex(sql, -1) {
		if stmt[at[0]] == '`' {
			continue
		}
		if err := d.textStaysInside(ctx, stmt[at[0]+1:max(at[0]+1, at[1]-1)]); err != nil {
			return err
		}
	}
	at := prepares.FindStringIndex(sql)
	if at == nil {
		return nil
	}
	sql = quoted.ReplaceAllStringFunc(sql, func(s string) string { return strings.Repeat("x", len(s)) })
	end := len(strings.TrimRight(sql, "; \t\r\n"))
	if u := using.FindStringIndex(sql); u != nil {
		end = u[0]
	}
	return d.confinePrepared(ctx, stmt[at[1]:max(at[1], end)])
}

// confinePrepared confines the statement whose text an expression gives.
func (d *Dev) confinePrepared(ctx context.Context, expression string) error {
	var text string
	if err := d.db.Rows(ctx, "SELECT "+expression, func(r []sql.NullString) { text = r[0].String }); err != nil {
		return err
	}
	file, err := directory.Split(d.db.Driver, atlas.NewLocalFile("prepared", []byte(text)))
	if err != nil {
		return err
	}
	for i, stmt := range file.Stmts {
		c := code(dialect.MySQL, file.Code[i])
		if onServer.MatchString(c) && !startsTransaction.MatchString(c) || directory.Replicates(c) {
			return &OutsideError{What: "the server"}
		}
		if err := d.confine(ctx, stmt.Text, file.Code[i]); err != nil {
			return err
		}
	}
	return nil
}

// textStaysInside is an [*OutsideError] if a text that may become a part of a statement names another database.
func (d *Dev) textStaysInside(ctx context.Context, text string) error {
	others, err := d.others(ctx)
	if err != nil {
		return err
	}
	if name := strings.Trim(text, "`. \t\r\n"); others[strings.ToLower(name)] {
		return &OutsideError{What: fmt.Sprintf("database %q", name)}
	}
	return d.staysInside(ctx, text+"x") // a name may follow
}
