package peers

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// script is what was sent, in order, and what was read and changed.
type script []sent

type sent struct {
	text string
	args []driver.NamedValue
	// reads is whether the text is a query, whose rows are those that were read.
	reads bool
	rows  [][]driver.Value
	// id is that of an inserted row, and changed how many rows a write matched.
	id, changed int64
}

const begin, commit = "BEGIN", "COMMIT"

// recorder is a connector of go-sql-driver/mysql that keeps a script. Its statements come one after another.
type recorder struct {
	driver.Connector
	mu     sync.Mutex
	script script
}

// take is the script since the last call.
func (r *recorder) take() script {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.script = nil }()
	return r.script
}

func (r *recorder) add(s sent) (at int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.args = slices.Clone(s.args) // database/sql uses it again
	r.script = append(r.script, s)
	return len(r.script) - 1
}

func (r *recorder) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	base, ok := c.(mysqlconn.Conn)
	if !ok {
		return nil, fmt.Errorf("%T is no connection of the driver", c)
	}
	return &recorded{base, r}, nil
}

type recorded struct {
	mysqlconn.Conn
	to *recorder
}

func (c *recorded) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	c.to.add(sent{text: begin})
	return c.Conn.BeginTx(ctx, o)
}

func (c *recorded) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.Conn.ExecContext(ctx, text, args)
	if err != nil {
		return nil, err
	}
	s := sent{text: text, args: args}
	s.id, _ = result.LastInsertId()
	s.changed, _ = result.RowsAffected()
	c.to.add(s)
	return result, nil
}

func (c *recorded) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.QueryContext(ctx, text, args)
	if err != nil {
		return nil, err
	}
	return &recordedRows{rows, c.to, c.to.add(sent{text: text, args: args, reads: true})}, nil
}

type recordedRows struct {
	driver.Rows
	to *recorder
	at int
}

func (r *recordedRows) Next(dest []driver.Value) error {
	if err := r.Rows.Next(dest); err != nil {
		return err
	}
	row := slices.Clone(dest)
	for i, v := range row {
		if b, ok := v.([]byte); ok {
			row[i] = string(b) // the driver uses the bytes again
		}
	}
	r.to.mu.Lock()
	defer r.to.mu.Unlock()
	if r.at < len(r.to.script) {
		r.to.script[r.at].rows = append(r.to.script[r.at].rows, row)
	}
	return nil
}

// values are all that went either way. What is made in the same way for two people has them at the same places.
func (s script) values() (all []driver.Value) {
	for _, sent := range s {
		for _, a := range sent.args {
			all = append(all, a.Value)
		}
		for _, row := range sent.rows {
			all = append(all, row...)
		}
		all = append(all, sent.id)
	}
	return all
}

// leastID is the least id of the rows that transitions make.
const leastID = 5_000_000

// tells reports whether a value is so rare that another one equal to it is the same: an id, an address, a hash, a
// token.
func tells(v driver.Value) bool {
	switch v := v.(type) {
	case int64:
		return v >= leastID
	case string:
		return len(v) > 16
	}
	return false
}

// template is a script whose arguments are filled in for another person.
type template []step

type step struct {
	sent
	from []source
}

// constant are the texts that are the same for everybody.
var constant = []string{device.UserAgent, first, second}

// source is where an argument comes from.
type source struct {
	// known is its place among the values of the person, and drawn the number of what is drawn anew; -1 for neither.
	known, drawn int
	// of is a statement before, and column the one of its first row, or -1 for the id of what it inserted.
	of, column int
	// later is how long after now it is, of times.
	later time.Duration
	value driver.Value
}

// learn finds out where the arguments of a script come from: what was read in the course of it, what is known of the
// person, what was drawn at random, and the time.
func learn(known []driver.Value, did script, now time.Time) template {
	drawn := map[driver.Value]int{}
	var t template
	for i, s := range did {
		step := step{sent: s}
		for _, arg := range s.args {
			from := source{known: -1, drawn: -1, of: -1, value: arg.Value}
			if at, ok := arg.Value.(time.Time); ok {
				from.later = at.Sub(now)
			}
			if tells(arg.Value) {
				from.of, from.column = whence(did[:i], arg.Value)
				from.known = slices.Index(known, arg.Value)
				text, ok := arg.Value.(string)
				if ok && from.of < 0 && from.known < 0 && !slices.Contains(constant, text) {
					if _, again := drawn[text]; !again {
						drawn[text] = len(drawn)
					}
					from.drawn = drawn[text]
				}
			}
			step.from = append(step.from, from)
		}
		t = append(t, step)
	}
	return t
}

// whence finds the statement of a value, and the column.
func whence(before script, v driver.Value) (of, column int) {
	for i, s := range before {
		if s.id == v {
			return i, -1
		}
		if len(s.rows) > 0 {
			if at := slices.Index(s.rows[0], v); at >= 0 {
				return i, at
			}
		}
	}
	return -1, -1
}

// errOtherwise is a statement that did something else than when it was recorded.
var errOtherwise = errors.New("it reads or changes another number of rows than package auth does")

// play sends the statements for the person whose values are known.
func (t template) play(ctx context.Context, db *sql.DB, stmts prepared, known []driver.Value) (err error) {
	var tx *sql.Tx
	defer func() {
		if tx != nil && err != nil {
			_ = tx.Rollback()
		}
	}()
	now := time.Now()
	read := make([][]any, len(t))
	ids := make([]int64, len(t))
	fresh := make([]string, 0, 4)
	for i, step := range t {
		switch step.text {
		case begin:
			if tx, err = db.BeginTx(ctx, nil); err != nil {
				return err
			}
			continue
		case commit:
			if err := tx.Commit(); err != nil {
				return err
			}
			tx = nil
			continue
		}
		args := make([]any, len(step.from))
		for j, from := range step.from {
			args[j] = from.value
			switch _, isTime := from.value.(time.Time); {
			case isTime:
				args[j] = now.Add(from.later)
			case from.of >= 0 && from.column < 0:
				args[j] = ids[from.of]
			case from.of >= 0:
				args[j] = read[from.of][from.column]
			case from.known >= 0:
				args[j] = known[from.known]
			case from.drawn >= 0:
				for len(fresh) <= from.drawn {
					fresh = append(fresh, newToken())
				}
				args[j] = like(from.value.(string), fresh[from.drawn])
			}
		}
		var n int
		if step.reads {
			stmt := stmts.stmt(ctx, tx, step.text) //nolint:sqlclosecheck // it lives as long as the pool
			read[i], n, err = step.scan(stmt.QueryContext(ctx, args...))
			if err == nil && n != len(step.rows) {
				err = errOtherwise
			}
		} else {
			ids[i], err = step.check(stmts.exec(ctx, tx, step.text, args...))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.text, err)
		}
	}
	return nil
}

// like makes of a drawn token what has the form of another value: a hash in hex, or fewer characters.
func like(value, token string) string {
	if _, err := hex.DecodeString(value); err == nil {
		sum := sha256.Sum256([]byte(token))
		return hex.EncodeToString(sum[:])[:len(value)]
	}
	return token[:min(len(token), len(value))]
}

// scan reads the rows into variables of the types that they had, and returns those of the first one.
func (s *step) scan(rows *sql.Rows, err error) (first []any, n int, _ error) {
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		if n >= len(s.rows) {
			return nil, n, errOtherwise
		}
		row := make([]any, len(s.rows[n]))
		for i, v := range s.rows[n] {
			switch v.(type) {
			case int64:
				row[i] = new(sql.NullInt64)
			case string:
				row[i] = new(sql.NullString)
			case time.Time:
				row[i] = new(sql.NullTime)
			default:
				row[i] = new(any)
			}
		}
		if err := rows.Scan(row...); err != nil {
			return nil, n, err
		}
		if n == 0 {
			first = row
		}
	}
	return first, n, rows.Err()
}

// check sees how many rows a write matched, and returns the id of an inserted one.
func (s *step) check(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	if n, err := result.RowsAffected(); err != nil || n != s.changed {
		return 0, errors.Join(err, errOtherwise)
	}
	return result.LastInsertId()
}
