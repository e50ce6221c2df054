package doctor

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/schema/field"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/registry"
	"github.com/authgraph/authgraph/migrate"
)

// history is how far the database has followed the directory.
type status struct {
	*migrate.Status
	// err is how the two disagree.
	err error
}

func checkMigrations(ctx context.Context, d *database) ([]Finding, error) {
	s, err := migrate.ReadStatus(ctx, d.raw, d.Dir)
	var useless *directory.Error
	var unreadable *fs.PathError
	if errors.As(err, &useless) && !errors.As(err, &unreadable) {
		return []Finding{found(Error, useless.Fix(), "%s: %v", useless.Path, useless.Err)}, nil
	}
	if s == nil {
		return nil, err
	}
	d.history = &status{s, err}
	var off []Finding
	if p := s.Partial; p != nil {
		what := fmt.Sprintf("%s is half applied: %d of %d statements", p.File, p.Applied, p.Total)
		switch {
		case p.InDoubt:
			what += ", the next one is running or was cut off"
		case p.Error != "":
			what += ", the next one failed: " + p.Error
		}
		off = append(off, found(Error, "authgraph migrate status shows where; once the cause is gone, authgraph migrate apply goes on there", "%s", what))
	}
	never := s.Current == "" && s.Partial == nil
	var disagrees *migrate.HistoryError
	if never || errors.As(err, &disagrees) && disagrees.Reason == history.Foreign {
		taken, err := d.strangers(ctx)
		if err != nil {
			return off, err
		}
		off = append(off, taken...)
	}
	if err != nil {
		text, fix, _ := strings.Cut(err.Error(), ": ")
		var sum *migrate.ChecksumError
		if !errors.As(err, &sum) && !errors.As(err, &disagrees) {
			return off, err
		}
		return append(off, found(Error, fix, "%s", text)), nil
	}
	switch {
	case never && len(d.tables) > 0:
		text := fmt.Sprintf("there are tables (%s) but no history", enumerate(d.tables))
		fix := "authgraph adopt, where another tool made them; authgraph migrate apply --baseline VERSION, where they are those of that migration"
		if d.hidden(ctx, atlasdb.RevisionsTable) {
			text += ", or this account has no right on it"
			fix = fmt.Sprintf("where it is there, GRANT SELECT ON %s.%s; where not, %s", quote(d.url.Database()), quote(atlasdb.RevisionsTable), fix)
		}
		off = append(off, found(Error, fix, "%s", text))
	case never && len(off) > 0:
	case never:
		off = append(off, found(Error, "authgraph migrate apply", "nothing is applied, %s", plural(len(s.Pending), "file")+" pending"))
	case s.Partial == nil && len(s.Pending) > 0:
		off = append(off, found(Warning, "authgraph migrate apply", "%s pending: %s", plural(len(s.Pending), "file"), enumerate(s.Pending)))
	}
	if len(off) == 0 {
		return ok("up to date with %s, %s applied", s.Current, plural(len(s.Applied), "file")), nil
	}
	return off, nil
}

// directory is the one that the database follows.
func (d *database) directory() (directory.Dir, error) {
	if d.Dir != nil {
		return d.Dir, nil
	}
	embedded, err := migrate.Embedded(d.url.Dialect)
	if err != nil {
		return nil, err
	}
	return directory.Of(embedded)
}

func checkDrift(ctx context.Context, d *database) (off []Finding, err error) {
	switch {
	case len(d.tables) == 0 && (d.history == nil || d.history.Current == ""):
		return nil, nil
	case d.history == nil, d.history.err != nil:
		return nil, errors.New("directory and history disagree, see migrations")
	case d.history.Partial != nil:
		return nil, errors.New("a file is half applied, see migrations")
	case d.history.Current == "":
		return nil, errors.New("without a history it is not known what the tables should be, see migrations")
	}
	open := d.Dev
	if open == nil {
		open = func(ctx context.Context) (*planner.Dev, error) { return planner.Scratch(ctx, d.given) }
	}
	dir, err := d.directory()
	if err != nil {
		return nil, err
	}
	dev, err := open(ctx)
	if err != nil {
		return d.missing(ctx, err)
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	differences, err := planner.Deviations(ctx, dev, dir, d.history.Current, d.raw)
	if err != nil {
		return d.missing(ctx, err)
	}
	d.extra = make(map[object]bool)
	for _, diff := range differences {
		// The next check has these with what they mean.
		if diff.Collation && slices.Contains(d.tables, diff.Table) && d.url.Dialect != dialect.SQLite {
			continue
		}
		if diff.Extra {
			d.extra[object{diff.Table, diff.Object, diff.Name}] = true
			off = append(off, found(Info, "make it a migration where every database is to have it", "table %q: %s, and is kept", diff.Table, diff.Text))
			continue
		}
		fix := "make it a migration where it is meant"
		if diff.SQL != "" {
			fix += ", else undo it: " + diff.SQL
		}
		off = append(off, d.drifted(ctx, diff.Table, diff.Text, fix))
	}
	if len(off) == 0 {
		return ok("the tables are those of %s", d.history.Current), nil
	}
	return off, nil
}

// drifted makes the finding of a table that is not what the files make.
func (d *database) drifted(ctx context.Context, table, text, fix string) Finding {
	if d.hidden(ctx, table) {
		text += ", or this account has no right on it"
		fix = "where it is there, see privileges; where not, " + fix
	}
	return found(Error, fix, "table %q: %s", table, text)
}

var (
	// tableStmt is a statement that makes, drops or renames tables.
	tableStmt = regexp.MustCompile(`(?is)^\s*(CREATE|ALTER|DROP|RENAME)\s+TABLES?\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(.*)`)
	// tableClause is the table it is about, without the database that it may name,
	// and what that is renamed to.
	tableClause = regexp.MustCompile(`(?is)^\s*` + tableName + `(?:\s+(?:RENAME\s+)?TO\s+` + tableName + `)?`)
)

const tableName = "(?:(?:`[^`]+`|\"[^\"]+\"|\\w+)\\s*\\.\\s*)?[`\"]?(\\w+)[`\"]?"

// made says which tables the applied files make, or all files where the history is
// not known.
func (d *database) made() (map[string]bool, error) {
	dir, err := d.directory()
	if err != nil {
		return nil, err
	}
	files, err := dir.Files()
	if err != nil {
		return nil, err
	}
	made := make(map[string]bool)
	for _, f := range files {
		if d.history != nil && d.history.Current != "" && f.Version() > d.history.Current {
			break
		}
		stmts, err := f.Stmts()
		if err != nil {
			return nil, err
		}
		for _, stmt := range stmts {
			m := tableStmt.FindStringSubmatch(stmt)
			if m == nil {
				continue
			}
			verb, clauses := strings.ToUpper(m[1]), m[2:]
			if verb == "DROP" || verb == "RENAME" {
				clauses = strings.Split(m[2], ",")
			}
			for _, clause := range clauses {
				switch names := tableClause.FindStringSubmatch(clause); {
				case names == nil:
				case names[2] != "":
					made[names[1]], made[names[2]] = false, true
				case verb != "ALTER":
					made[names[1]] = verb == "CREATE"
				}
			}
		}
	}
	return made, nil
}

// expected are the tables of the auth graph that are seen, and those that are not
// and should be. Where the files cannot be read, that is all of them.
func (d *database) expected() []string {
	made, err := d.made()
	if err != nil {
		return registry.Tables()
	}
	return slices.DeleteFunc(registry.Tables(), func(name string) bool { return !made[name] && !slices.Contains(d.tables, name) })
}

// missing finds the tables that the applied files make and that are not there,
// where for a cause the files could not be replayed.
func (d *database) missing(ctx context.Context, cause error) (off []Finding, err error) {
	made, err := d.made()
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	for _, name := range registry.Tables() {
		if made[name] && !slices.Contains(d.tables, name) {
			off = append(off, d.drifted(ctx, name, "the table is missing", "make it a migration where it is meant, else restore it"))
		}
	}
	return off, cause
}

// exact are the columns that must be compared byte by byte although they hold no
// hash.
var exact = []string{"email", "provider_id"}

// defaultCollation is the one that Ent and the migrations give a text column.
const defaultCollation = "utf8mb4_bin"

// collations are those of the text columns, by table and column.
func collations() map[[2]string]string {
	want := make(map[[2]string]string)
	for _, table := range registry.Tables() {
		for _, c := range registry.Table(table).Columns {
			if c.Type == field.TypeString {
				want[[2]string{table, c.Name}] = cmp.Or(c.Collation, defaultCollation)
			}
		}
	}
	return want
}

func checkCollation(ctx context.Context, d *database) ([]Finding, error) {
	if d.url.Dialect == dialect.SQLite {
		return checkIndexCollation(ctx, d)
	}
	want := collations()
	var off []Finding
	var table, column, columnType, collation, nullable string
	err := each(ctx, d.db, "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, COALESCE(COLLATION_NAME, 'binary'), IS_NULLABLE "+
		"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND "+d.inTables("TABLE_NAME")+" ORDER BY TABLE_NAME, ORDINAL_POSITION",
		[]any{&table, &column, &columnType, &collation, &nullable}, func() {
			right, text := want[[2]string{table, column}]
			if !text || collation == right {
				return
			}
			hash := right != defaultCollation
			charset, _, _ := strings.Cut(right, "_")
			fix := fmt.Sprintf("ALTER TABLE %s MODIFY %s %s CHARACTER SET %s COLLATE %s", quote(table), quote(column), columnType, charset, right)
			if nullable == "NO" {
				fix += " NOT NULL"
			}
			binary := strings.HasSuffix(collation, "_bin") || collation == "binary"
			if (hash || slices.Contains(exact, column)) && !binary {
				off = append(off, found(Error, fix, "%s.%s is compared by %s, to which different values can be equal, not by %s", table, column, collation, right))
			} else {
				off = append(off, found(Warning, fix, "%s.%s is compared by %s, not by %s", table, column, collation, right))
			}
		})
	if err != nil {
		return nil, err
	}
	err = each(ctx, d.db, "SELECT TABLE_NAME, TABLE_COLLATION FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND "+
		d.inTables("TABLE_NAME")+" AND TABLE_COLLATION <> '"+defaultCollation+"' ORDER BY TABLE_NAME", []any{&table, &collation}, func() {
		off = append(off, found(Warning, fmt.Sprintf("ALTER TABLE %s CHARACTER SET utf8mb4 COLLATE %s", quote(table), defaultCollation),
			"the default of table %q is %s: a column added by hand gets that one", table, collation))
	})
	if err != nil {
		return nil, err
	}
	if err := d.db.QueryRowContext(ctx, "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE()").Scan(&collation); err != nil {
		return off, err
	}
	if !strings.HasPrefix(collation, "utf8mb4_") {
		off = append(off, found(Info, fmt.Sprintf("ALTER DATABASE %s CHARACTER SET utf8mb4 COLLATE %s", quote(d.url.Database()), defaultCollation),
			"the default of the database is %s: a table made by hand gets that one", collation))
	}
	if len(off) == 0 {
		return ok("as in the schema; the default of the database is %s", collation), nil
	}
	return off, nil
}

// checkIndexCollation asks for the collations of indexes: of a column SQLite tells
// only the text it was made by, and an index takes over its column's.
func checkIndexCollation(ctx context.Context, d *database) (off []Finding, err error) {
	var table, index, column, collation string
	err = each(ctx, d.db, "SELECT m.name, l.name, x.name, x.coll FROM sqlite_master m, pragma_index_list(m.name) l, pragma_index_xinfo(l.name) x "+
		"WHERE m.type = 'table' AND "+d.inTables("m.name")+" AND x.key AND x.coll <> 'BINARY' ORDER BY 1, 2, 3",
		[]any{&table, &index, &column, &collation}, func() {
			off = append(off, found(Error, "build the index, or the column, anew without COLLATE",
				"index %q of table %q compares %s by %s, to which different values can be equal", index, table, column, collation))
		})
	if err != nil || len(off) > 0 {
		return off, err
	}
	return ok("every index compares byte by byte"), nil
}

func checkEngine(ctx context.Context, d *database) (off []Finding, err error) {
	var table, engine string
	err = each(ctx, d.db, "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND "+
		d.inTables("TABLE_NAME")+" AND ENGINE <> 'InnoDB' ORDER BY TABLE_NAME", []any{&table, &engine}, func() {
		off = append(off, found(Error, fmt.Sprintf("ALTER TABLE %s ENGINE = InnoDB", quote(table)),
			"table %q is kept by %s: no transactions and no foreign keys", table, engine))
	})
	if err != nil || len(off) > 0 {
		return off, err
	}
	return ok("InnoDB"), nil
}

func checkRedundant(ctx context.Context, d *database) (off []Finding, err error) {
	redundant, err := planner.RedundantIndexes(ctx, d.raw, d.tables...)
	if err != nil {
		return nil, err
	}
	for _, r := range redundant {
		byHand, err := d.byHand(object{r.Table, "index", r.Index})
		if err != nil {
			return off, err
		}
		if !byHand {
			fix := "leave it here: the migrations make it, and decide"
			if d.extra == nil {
				fix = "leave it, unless drift says that no migration makes it: the migrations decide"
			}
			off = append(off, found(Info, fix, "%s", r.Text))
			continue
		}
		fix := "DROP INDEX " + quote(r.Index)
		if d.url.Dialect == dialect.MySQL {
			fix += " ON " + quote(r.Table)
		}
		off = append(off, found(Warning, fix, "%s", r.Text))
	}
	if len(off) == 0 {
		return ok("none"), nil
	}
	return off, nil
}

// candidates are the indexes that would serve nothing if no query used them.
const candidates = "SELECT s.TABLE_NAME, s.INDEX_NAME FROM information_schema.STATISTICS s " +
	"WHERE s.TABLE_SCHEMA = DATABASE() AND s.NON_UNIQUE = 1 AND s.SEQ_IN_INDEX = 1 " +
	"AND NOT EXISTS (SELECT 1 FROM information_schema.KEY_COLUMN_USAGE k WHERE k.TABLE_SCHEMA = s.TABLE_SCHEMA " +
	"AND k.TABLE_NAME = s.TABLE_NAME AND k.COLUMN_NAME = s.COLUMN_NAME AND k.REFERENCED_TABLE_NAME IS NOT NULL) AND "

// checkUnused asks whoever counts the reads of an index.
func checkUnused(ctx context.Context, d *database) ([]Finding, error) {
	unknown := func(fix, format string, args ...any) ([]Finding, error) {
		f := found(Info, fix, "it cannot be known: "+format, args...)
		f.Unchecked = true
		return []Finding{f}, nil
	}
	candidates, used := candidates+d.inTables("s.TABLE_NAME")+" ORDER BY 1, 2", ""
	var schema, userstat bool
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.performance_schema").Scan(&schema); err != nil {
		return nil, err
	}
	if d.maria {
		if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.userstat").Scan(&userstat); err != nil {
			return nil, err
		}
	}
	switch {
	case userstat:
		used = "SELECT TABLE_NAME, INDEX_NAME FROM information_schema.INDEX_STATISTICS WHERE TABLE_SCHEMA = DATABASE()"
	case schema:
		var on string
		err := d.db.QueryRowContext(ctx, "SELECT ENABLED FROM performance_schema.setup_instruments WHERE NAME = 'wait/io/table/sql/handler'").Scan(&on)
		if serverError(err) == erTableAccessDenied {
			return unknown("look with an account that may: GRANT SELECT ON performance_schema.* TO …", "the account may not read performance_schema")
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if on != "YES" {
			return unknown("UPDATE performance_schema.setup_instruments SET ENABLED = 'YES' WHERE NAME = 'wait/io/table/sql/handler'", "the instrument wait/io/table/sql/handler is off")
		}
		used = "SELECT OBJECT_NAME, INDEX_NAME FROM performance_schema.table_io_waits_summary_by_index_usage " +
			"WHERE OBJECT_SCHEMA = DATABASE() AND INDEX_NAME IS NOT NULL AND COUNT_STAR > 0"
	case d.maria:
		return unknown("SET GLOBAL userstat = 1, and look again some days later", "the server does not count it (userstat and performance_schema are off)")
	default:
		return unknown("start the server with performance_schema = ON", "the server does not count it (performance_schema is off)")
	}
	status, err := d.status(ctx, "Uptime")
	if err != nil {
		return nil, err
	}
	var read, unread []string
	var table, index string
	if err := each(ctx, d.db, used, []any{&table, &index}, func() { read = append(read, table+"."+index) }); err != nil {
		return nil, err
	}
	total := 0
	err = each(ctx, d.db, candidates, []any{&table, &index}, func() {
		total++
		if name := table + "." + index; !slices.Contains(read, name) {
			unread = append(unread, name)
		}
	})
	if err != nil {
		return nil, err
	}
	up := period(time.Duration(status["Uptime"]) * time.Second)
	if len(unread) > 0 {
		return []Finding{found(Info, "look again when every job has run since the start; of the indexes that migrations make, the migrations decide",
			"not read since the server started %s ago, %d of %d: %s", up, len(unread), total, enumerate(unread))}, nil
	}
	return ok("all have been read since the server started %s ago", up), nil
}

// integers are the largest values of the integer types.
var integers = map[string]float64{
	"tinyint": math.MaxInt8, "smallint": math.MaxInt16, "mediumint": 1<<23 - 1, "int": math.MaxInt32, "bigint": math.MaxInt64,
}

// largest is the largest value of a column type, and what the type is called.
func largest(columnType string) (float64, string) {
	words := strings.FieldsFunc(columnType, func(r rune) bool { return r == ' ' || r == '(' || r == ')' })
	if len(words) == 0 {
		return 0, columnType
	}
	limit := integers[words[0]]
	// What Go reads ends at int64, whatever the column holds.
	if slices.Contains(words, "unsigned") && words[0] != "bigint" {
		return 2*limit + 1, words[0] + " unsigned"
	}
	return limit, words[0]
}

func percent(share float64) string {
	if share > 0 && share < 0.01 {
		return "less than 0.01 %"
	}
	return fmt.Sprintf("%.2g %%", share)
}

func checkHeadroom(ctx context.Context, d *database) ([]Finding, error) {
	query := "SELECT t.TABLE_NAME, c.COLUMN_NAME, c.COLUMN_TYPE, COALESCE(t.AUTO_INCREMENT, 1) - 1 FROM information_schema.TABLES t " +
		"JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME AND c.EXTRA LIKE '%auto_increment%' " +
		"WHERE t.TABLE_SCHEMA = DATABASE() AND " + d.inTables("t.TABLE_NAME") + " ORDER BY 1"
	if d.url.Dialect == dialect.SQLite {
		// A rowid is a signed 64-bit integer whatever its column is called.
		// Before the first table with AUTOINCREMENT there is no sqlite_sequence.
		var n int
		if err := d.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'sqlite_sequence'").Scan(&n); err != nil {
			return nil, err
		}
		if n == 0 {
			return ok("no id was given yet"), nil
		}
		query = "SELECT name, 'id', 'bigint', seq FROM sqlite_sequence WHERE " + d.inTables("name") + " ORDER BY 1"
	}
	var off []Finding
	var table, column, columnType, fullest string
	var used float64
	most := -1.0
	err := each(ctx, d.db, query, []any{&table, &column, &columnType, &used}, func() {
		limit, name := largest(columnType)
		if limit == 0 {
			return
		}
		share := 100 * used / limit
		if share > most {
			most, fullest = share, fmt.Sprintf("%s of %s.%s (%s) is used, the most of all", percent(share), table, column, name)
		}
		severity := Warning
		switch {
		case share > 80:
			severity = Error
		case share <= 50:
			return
		}
		fix := fmt.Sprintf("ALTER TABLE %s MODIFY %s bigint NOT NULL AUTO_INCREMENT, by a migration; first drop foreign keys that refer to it, and widen their columns too", quote(table), quote(column))
		if name == "bigint" {
			fix = "find out who writes such ids: counting up does not get there"
		}
		off = append(off, found(severity, fix, "%.0f %% of %s.%s (%s) is used: the last id was %.0f of %.0f", share, table, column, name, used, limit))
	})
	if err != nil || len(off) > 0 {
		return off, err
	}
	return ok("%s", cmp.Or(fullest, "no id was given yet")), nil
}
