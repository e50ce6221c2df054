package migrate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
)

// inDoubtPrefix begins the error of a statement while it runs; the fingerprint of the schema before it follows. It
// stays if the apply is cut off.
const inDoubtPrefix = "running, or cut off before its outcome was recorded; schema before it: "

// ranBefore reports whether the statement a record leaves in doubt took effect: it did if the schema is no longer what
// it was before the statement.
func ranBefore(ctx context.Context, s history.Store, r *atlas.Revision) (bool, error) {
	before, ok := strings.CutPrefix(r.Error, inDoubtPrefix)
	if !ok {
		return false, nil
	}
	now, err := fingerprint(ctx, s.DB, touches(s, r.ErrorStmt))
	return err == nil && now != before, err
}

// touches says which objects a statement may change. If the history is in a schema of its own, another service may
// migrate its tables of the database at the same time: then these are the objects whose name the statement holds.
func touches(s history.Store, stmt string) func(name string) bool {
	if s.Schema == "" || directory.Calls(stmt) {
		return func(string) bool { return true }
	}
	stmt = strings.ToLower(stmt)
	return func(name string) bool {
		name = strings.ToLower(name)
		return strings.Contains(stmt, name) || strings.Contains(stmt, strings.ReplaceAll(name, "`", "``"))
	}
}

// autoIncrement is the one part of a definition that rows change.
var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// fingerprint hashes the schema objects that are touched. If the hash changed, the interrupted statement took effect.
// ALTER DATABASE does not change it, and may run twice.
func fingerprint(ctx context.Context, db *atlasdb.DB, touched func(name string) bool) (string, error) {
	h := sha256.New()
	if err := db.Plainly(ctx, func() error { return hashSchema(ctx, db, h, touched) }); err != nil {
		return "", fmt.Errorf("read the schema: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashSchema(ctx context.Context, db *atlasdb.DB, h hash.Hash, touched func(name string) bool) error {
	type object struct{ name, kind string }
	var objects []object
	err := db.Rows(ctx, "SHOW FULL TABLES", func(r []sql.NullString) {
		if r[0].String != atlasdb.RevisionsTable && touched(r[0].String) {
			objects = append(objects, object{r[0].String, r[1].String})
		}
	})
	if err != nil {
		return err
	}
	const programs = "SELECT 'TRIGGER', TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, " +
		"ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() " +
		"UNION ALL SELECT ROUTINE_TYPE, ROUTINE_NAME, '', '', LAST_ALTERED, ROUTINE_DEFINITION " +
		"FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() " +
		"UNION ALL SELECT 'EVENT', EVENT_NAME, '', '', LAST_ALTERED, EVENT_DEFINITION " +
		"FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY 1, 2"
	err = db.Rows(ctx, programs, func(r []sql.NullString) {
		if touched(r[1].String) {
			hashRow(h, r)
		}
	})
	if err != nil {
		return err
	}
	for _, o := range objects {
		kind := "TABLE"
		switch o.kind {
		case "VIEW":
			kind = "VIEW"
		case "SEQUENCE": // MariaDB
			kind = "SEQUENCE"
		}
		create := "SHOW CREATE " + kind + " " + dbserver.Quote(o.name)
		if err := db.Rows(ctx, create, func(r []sql.NullString) { hashRow(h, r) }); err != nil {
			return err
		}
	}
	return nil
}

func hashRow(h hash.Hash, row []sql.NullString) {
	for _, v := range row {
		fmt.Fprintf(h, "%q\x00", autoIncrement.ReplaceAllString(v.String, ""))
	}
}
