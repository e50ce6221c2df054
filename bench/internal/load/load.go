// Package load fills the tables with the rows that a benchmark works on, and names them: row n is the same on every
// machine, and everything a client would present for it follows from n.
package load

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"
)

// Key authenticates one-time codes, as auth.Config.Keys does.
var Key = []byte("a key of the benchmark, 32 bytes")

// Password is what every user's column password holds, of the length of a hash by argon2id.
const Password = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// UserAgent is that of every session.
const UserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// Size is how many rows each table gets.
type Size struct {
	Sessions, Users, RefreshTokens, Codes int
	// Locked is how many more users there are, who own nothing: the rows after the others.
	Locked int
	// Expired is how many of the sessions, refresh tokens and codes, in percent, are past their end: the oldest ones.
	Expired int
}

// Of is the size with so many sessions: a user, a refresh token and a code for every four, a locked user for every
// sixteen, and expired percent.
func Of(sessions, expired int) Size {
	quarter := max(1, sessions/4)
	return Size{Sessions: sessions, Users: quarter, RefreshTokens: quarter, Codes: quarter, Locked: max(1, quarter/4),
		Expired: expired}
}

// Rows is how many there are in all.
func (s Size) Rows() int { return s.Sessions + s.Users + s.Locked + s.RefreshTokens + s.Codes }

// FirstLive is the first of n rows that is not expired.
func (s Size) FirstLive(n int) int { return n * s.Expired / 100 }

// SessionToken is the token of session n, of the length that package auth gives.
func SessionToken(n int) string { return fmt.Sprintf("session-%035d", n) }

// RefreshToken is the first token of refresh token n.
func RefreshToken(n int) string { return fmt.Sprintf("refresh-%035d", n) }

// Email is the address of user n, and of code n.
func Email(n int) string { return fmt.Sprintf("user%d@example.com", n) }

// LockedUntil is when the lock of user n ends, who is one of the locked: another second for each.
func LockedUntil(n int) time.Time { return lockBase.Add(time.Duration(n) * time.Second) }

// lockBase fits into a TIMESTAMP, as do the months after it.
var lockBase = time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC)

// Code is the digits of code n.
func Code(n int) string { return fmt.Sprintf("%06d", n%1_000_000) }

// chunk is how many rows one INSERT makes.
const chunk = 50_000

// connections is how many INSERTs run at once.
const connections = 4

// Fill fills the empty tables of db. It drops their secondary indexes and foreign keys, lets the server make the rows,
// and builds the indexes again, sorted, as they were; the server's innodb_fill_factor decides how dense.
func Fill(ctx context.Context, db *sql.DB, size Size, progress io.Writer) error {
	if err := numbers(ctx, db); err != nil {
		return err
	}
	bar := progressbar.NewOptions(size.Rows(),
		progressbar.OptionSetWriter(progress),
		progressbar.OptionSetDescription(fmt.Sprintf("load %d rows", size.Rows())),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
		progressbar.OptionThrottle(time.Second), progressbar.OptionFullWidth(),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(progress) }))
	for _, t := range tables(size) {
		if err := t.fill(ctx, db, func(n int) { _ = bar.Add(n) }); err != nil {
			return fmt.Errorf("load %s: %w", t.name, err)
		}
	}
	_, err := db.ExecContext(ctx, `DROP TABLE numbers`)
	return err
}

// numbers is a table of 0 to chunk-1.
func numbers(ctx context.Context, db *sql.DB) error {
	digits := `(SELECT 0 d` + strings.Join([]string{"", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
		" UNION ALL SELECT ") + `)`
	for _, statement := range []string{
		`CREATE TABLE numbers (n INT PRIMARY KEY)`,
		fmt.Sprintf(`INSERT INTO numbers SELECT a.d + 10*b.d + 100*c.d + 1000*d.d + 10000*e.d FROM
			%[1]s a, %[1]s b, %[1]s c, %[1]s d,
			(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) e`, digits),
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("make numbers: %w", err)
		}
	}
	return nil
}

type table struct {
	name   string
	rows   int
	insert string // selects from numbers; a %d is the number of a chunk's first row
}

// tables are in the order in which they can be filled. Like in service, rows were made in the order of their ids and
// end in that order, while users, addresses and hashes come in no order.
func tables(size Size) []table {
	expires := func(rows int) string {
		return fmt.Sprintf(`NOW(6) + INTERVAL IF(r < %d, r - %d, 86400 + r DIV %d) SECOND`,
			size.FirstLive(rows), rows+86400, rows/2_000_000+1)
	}
	lock := fmt.Sprintf(`IF(r < %d, NULL, CAST('%s' AS DATETIME) + INTERVAL r SECOND)`, size.Users,
		lockBase.Format(time.DateTime))
	user := fmt.Sprintf(`(r * 7919) %% %d + 1`, size.Users)
	return []table{
		{name: "users", rows: size.Users + size.Locked, insert: `(id, name, email, password, is_email_verified,
		lock_until)
			SELECT r + 1, CONCAT('User ', r), CONCAT('user', r, '@example.com'),
				'` + Password + `', 1, ` + lock},
		{name: "sessions", rows: size.Sessions, insert: `(id, user_id, token_hash, ip, user_agent,
		last_used_at, created_at, expires_at)
			SELECT r + 1, ` + user + `, SHA2(CONCAT('session-', LPAD(r, 35, '0')), 256), CONCAT('203.0.113.', r % 256),
				'` + UserAgent + `', NOW(6), NOW(6), ` + expires(size.Sessions)},
		{name: "refresh_tokens", rows: size.RefreshTokens, insert: `(id, user_id, token_hash, created_at, expires_at)
			SELECT r + 1, ` + user + `, SHA2(CONCAT('refresh-', LPAD(r, 35, '0')), 256), NOW(6),
			` + expires(size.RefreshTokens)},
		{name: "otps", rows: size.Codes, insert: `(id, email, type, otp_hash_code, ticket_hash,
		next_resend_allowed_at, expires_at)
			SELECT r + 1, CONCAT('user', r, '@example.com'), 'signin', ` + mac + `, ` + ticket + `, NOW(6),
			` + expires(size.Codes)},
	}
}

// ticket is the hash of the ticket of a code, which is its address here.
const ticket = `SHA2(CONCAT('user', r, '@example.com'), 256)`

// mac is HMAC-SHA-256 over the purpose, the address, the ticket and the code (RFC 2104), which MySQL has no function
// for.
var mac = func() string {
	pad := func(b byte) string {
		block := make([]byte, 64)
		copy(block, Key)
		for i := range block {
			block[i] ^= b
		}
		return "x'" + hex.EncodeToString(block) + "'"
	}
	return `SHA2(CONCAT(` + pad(0x5c) + `, UNHEX(SHA2(CONCAT(` + pad(0x36) + `, 'signin', x'00',
		'user', r, '@example.com', x'00', ` + ticket + `, x'00', LPAD(r % 1000000, 6, '0')), 256))), 256)`
}()

func (t table) fill(ctx context.Context, db *sql.DB, add func(int)) error {
	before, err := definition(ctx, db, t.name)
	if err != nil {
		return err
	}
	drop, restore := indexes(before)
	if _, err := db.ExecContext(ctx, "ALTER TABLE "+t.name+" "+strings.Join(drop, ", ")); err != nil {
		return err
	}
	if err := t.insertAll(ctx, db, add); err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range []string{
		// Every user_id was made from an id that exists.
		"SET foreign_key_checks = 0",
		"SET innodb_ddl_buffer_size = 512 << 20",
		"ALTER TABLE " + t.name + " " + strings.Join(restore, ", "),
		"SET foreign_key_checks = 1, innodb_ddl_buffer_size = DEFAULT",
		"ANALYZE TABLE " + t.name,
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	after, err := definition(ctx, db, t.name)
	if err == nil && !slices.Equal(before, after) {
		return fmt.Errorf("it is not as it was:\n%s\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	return err
}

func (t table) insertAll(ctx context.Context, db *sql.DB, add func(int)) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range connections {
		group.Go(func() error {
			for {
				from := int(next.Add(chunk)) - chunk
				if from >= t.rows {
					return nil
				}
				n := min(chunk, t.rows-from)
				if _, err := db.ExecContext(ctx, fmt.Sprintf(
					`INSERT INTO %s %s FROM (SELECT n + %d AS r FROM numbers WHERE n < %d ORDER BY n) made`,
					t.name, t.insert, from, n)); err != nil {
					return err
				}
				add(n)
			}
		})
	}
	return group.Wait()
}

var counter = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// definition is SHOW CREATE TABLE by lines, with the parts that have no order in one.
func definition(ctx context.Context, db *sql.DB, table string) ([]string, error) {
	var name, text string
	if err := db.QueryRowContext(ctx, "SHOW CREATE TABLE "+table).Scan(&name, &text); err != nil {
		return nil, err
	}
	lines := strings.Split(counter.ReplaceAllString(text, ""), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(strings.TrimSpace(line), ",")
	}
	slices.Sort(lines)
	return lines, nil
}

// indexes are the clauses of ALTER TABLE that drop the secondary indexes and foreign keys of a table, and those that
// add them again.
func indexes(definition []string) (drop, restore []string) {
	var keys []string
	for _, line := range definition {
		quoted := strings.Split(line, "`")
		switch {
		case strings.Contains(line, "FOREIGN KEY"):
			// First: an index that a foreign key needs cannot be dropped.
			drop = append([]string{"DROP FOREIGN KEY `" + quoted[1] + "`"}, drop...)
			keys = append(keys, "ADD "+line)
		case strings.HasPrefix(line, "KEY "), strings.HasPrefix(line, "UNIQUE KEY "):
			drop = append(drop, "DROP INDEX `"+quoted[1]+"`")
			restore = append(restore, "ADD "+line)
		}
	}
	return drop, append(restore, keys...)
}

// Restore makes the codes of the given rows as Fill made them, after they were used.
func Restore(ctx context.Context, db *sql.DB, codes []int) error {
	for batch := range slices.Chunk(codes, 1000) {
		var in strings.Builder
		for i, n := range batch {
			if i > 0 {
				in.WriteByte(',')
			}
			fmt.Fprint(&in, n+1)
		}
		if _, err := db.ExecContext(ctx,
			`UPDATE otps SET is_used = 0, used_at = NULL, attempts = 0 WHERE id IN (`+in.String()+`)`); err != nil {
			return fmt.Errorf("restore codes: %w", err)
		}
	}
	return nil
}
