package migrate

import (
	"context"
	"errors"
	"regexp"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"
)

// Server errors that say what is wrong with a migration (MySQL manual, Server
// Error Message Reference).
const (
	erTooLongKey                       = 1071
	erBlobKeyWithoutLength             = 1170
	erAlterOperationNotSupported       = 1845
	erAlterOperationNotSupportedReason = 1846
)

var (
	indexOn    = regexp.MustCompile(`(?is)^\s*(?:CREATE|DROP)\s.*?\bINDEX\s.*?\bON\s+(?:` + ident + `\s*\.\s*)?` + ident)
	statesLock = regexp.MustCompile(`(?i)\b(?:LOCK|ALGORITHM)\s*=?\s*(?:DEFAULT|NONE|SHARED|EXCLUSIVE|INPLACE|INSTANT|NOCOPY|COPY)\b`)
)

// exec executes a statement. If the server cannot do so while others write to
// the table, blocking says why.
func (l *linter) exec(ctx context.Context, s *atlas.Stmt, track *tracker) (blocking string, err error) {
	if online := l.online(s, track); online != "" {
		var server *mysql.MySQLError
		_, err := l.dev.conn.ExecContext(ctx, online)
		switch {
		case err == nil:
			return "", nil
		case errors.As(err, &server) && (server.Number == erAlterOperationNotSupported || server.Number == erAlterOperationNotSupportedReason):
			blocking = "blocks writes to the table while it runs: " + server.Message
		}
	}
	_, err = l.dev.conn.ExecContext(ctx, s.Text)
	return blocking, err
}

// online is the statement on condition that it does not block writes; empty if
// there is nothing to ask. Asked on an empty table it costs nothing: the server
// decides by what the statement does, not by the rows.
func (l *linter) online(s *atlas.Stmt, track *tracker) string {
	if l.dev.Dialect() == dialect.SQLite {
		return ""
	}
	sql := code(l.dev.Dialect(), s.Text)
	clause := "\n, LOCK=NONE" // on its own line: the statement may end in a comment
	m := alterTable.FindStringSubmatch(sql)
	if m == nil {
		clause = "\n LOCK=NONE"
		m = indexOn.FindStringSubmatch(sql)
	}
	// LOCK=NONE is refused for a new name too, though that takes an instant.
	if m == nil || !track.existed(unquote(m[2])) || statesLock.MatchString(sql) || newTableName(sql) != "" {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSpace(s.Text), ";") + clause
}
