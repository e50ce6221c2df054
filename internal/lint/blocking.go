package lint

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/planner"
)

// Server errors that say what is wrong with a migration (MySQL manual, Server Error Message Reference).
const (
	erTooLongKey           = 1071
	erBlobKeyWithoutLength = 1170
)

// cannotAlter are the errors of a server that cannot change a table in the way that was asked for:
// ER_ALTER_OPERATION_NOT_SUPPORTED and the same with a reason.
var cannotAlter = []uint16{1845, 1846}

var statesLock = regexp.MustCompile(
	`(?i)\b(?:LOCK|ALGORITHM)\s*=?\s*(?:DEFAULT|NONE|SHARED|EXCLUSIVE|INPLACE|INSTANT|NOCOPY|COPY)\b`)

// noLock is what InnoDB ignores.
var noLock = regexp.MustCompile(`(?i)\b(?:DISABLE|ENABLE)\s+KEYS\s*;?\s*$`)

// exec executes a statement. If the server cannot do so while others write to the table, blocking says why.
func (l *linter) exec(
	ctx context.Context, file *directory.File, i int, track *tracker,
) (blocking string, err error) {
	if online := l.online(file, i, track); online != "" {
		var server *mysql.MySQLError
		err := l.dev.Run(ctx, online, file.Code[i])
		switch {
		case err == nil:
			return "", nil
		case errors.As(err, &server) && slices.Contains(cannotAlter, server.Number):
			blocking = "blocks writes to the table while it runs (" + server.Message + "): " + spared
		}
	}
	return blocking, l.dev.Run(ctx, file.Stmts[i].Text, file.Code[i])
}

// online is the statement on condition that it does not block writes; empty if there is nothing to ask. Asked on an
// empty table it costs nothing: the server decides by what the statement does, not by the rows.
func (l *linter) online(file *directory.File, i int, track *tracker) string {
	if l.dev.Dialect() == dialect.SQLite {
		return ""
	}
	alter := planner.ParseAlter(file.Code[i])
	// LOCK=NONE is refused for a new name too, though that takes an instant.
	if alter == nil || alter.NewName != "" || !track.existed(alter.Table) || statesLock.MatchString(alter.Code) ||
		noLock.MatchString(alter.Code) {
		return ""
	}
	clause := "\n, LOCK=NONE" // on its own line: the statement may end in a comment
	if alter.OnIndex {
		clause = "\n LOCK=NONE"
	}
	return strings.TrimSuffix(strings.TrimSpace(file.Stmts[i].Text), ";") + clause
}
