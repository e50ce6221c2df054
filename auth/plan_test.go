package auth_test

import (
	"database/sql"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/queryplan"
)

// What each statement of the service finds its rows by, and which operation sends it, is written down in package
// queryplan, for people to read: no scan but that of the codes which an account asked for, by an export or an erasure,
// and no sort but theirs and that of the codes which one address asked for in an hour.
func TestEveryQueryGoesByAnIndex(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		load(t, w.db)
		got := map[string][]queryplan.Access{}
		senders := map[string][]string{}
		for _, s := range w.sent(t) {
			form := normalForm(s.query)
			if plan := explain(t, w.db, s.query); plan != nil || got[form] == nil {
				got[form] = plan
			}
			if !slices.Contains(senders[form], s.by) {
				senders[form] = append(senders[form], s.by)
			}
		}
		var plans []queryplan.Query
		for _, form := range slices.Sorted(maps.Keys(got)) {
			slices.Sort(senders[form])
			plans = append(plans, queryplan.Query{SQL: form, Server: got[form], SentBy: senders[form]})
		}
		if os.Getenv("UPDATE_QUERIES") != "" && strings.HasSuffix(t.Name(), "/mysql") {
			lite := onSQLite(t)
			for i, q := range plans {
				plans[i].SQLite = lite[strings.TrimSuffix(q.SQL, " FOR UPDATE")]
			}
			require.NoError(t, os.WriteFile("../internal/queryplan/queries.txt", []byte(queryplan.Format(plans)),
				0o600))
			return
		}
		want := written(t)
		for i := range want {
			want[i].SQLite = nil
		}
		if mysqltest.MariaDBBefore(t, url, "11.8.0") {
			// What is written down is the choice of the newest releases. An older one finds the rows by an index, too.
			for _, all := range [][]queryplan.Query{want, plans} {
				for _, q := range all {
					for i := range q.Server {
						if q.Server[i].Index != "" {
							q.Server[i].Index = "any"
						}
					}
				}
			}
		}
		assert.Equal(t, queryplan.Format(want), queryplan.Format(plans))
	})
}

// SQLite is sent the same, without the locks.
func TestEveryQueryGoesByAnIndexOnSQLite(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for form, plan := range onSQLite(t) {
		got[form] = queryplan.Format([]queryplan.Query{{SQLite: plan}})
	}
	want := map[string]string{}
	for _, q := range written(t) {
		want[strings.TrimSuffix(q.SQL, " FOR UPDATE")] = queryplan.Format([]queryplan.Query{{SQLite: q.SQLite}})
	}
	assert.Equal(t, want, got)
}

// onSQLite are SQLite's plans by the normal form of a query.
func onSQLite(t *testing.T) map[string][]queryplan.Access {
	t.Helper()
	w := newWorld(t, mysqltest.SQLite(t))
	plans := map[string][]queryplan.Access{}
	for _, s := range w.sent(t) {
		plans[normalForm(s.query)] = explainSQLite(t, w.db, s.query)
	}
	return plans
}

func written(t *testing.T) []queryplan.Query {
	t.Helper()
	queries, err := queryplan.All()
	require.NoError(t, err)
	return queries
}

// statement is a query as the database got it, and the operation it is of.
type statement struct{ query, by string }

// sent are the statements of every transition, as the server gets them.
func (w *world) sent(t *testing.T) (all []statement) {
	t.Helper()
	var mu sync.Mutex
	var by string
	during := func(operation string) {
		mu.Lock()
		defer mu.Unlock()
		by = operation
	}
	client := w.spied(t, func(query string) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, statement{query, by})
	})
	for _, tr := range transitions {
		call := tr.arrange(t, w, w.email())
		during(operation(tr.name))
		require.ErrorIs(t, call(t.Context(), w.service(t, client, tr.grace)), tr.done, tr.name)
	}
	email := w.email()
	id := w.register(t, email)
	grant := w.signIn(t, email)
	config := w.config()
	config.Lockout.MaxFailures = 1
	s, err := auth.New(client, config)
	require.NoError(t, err)
	during("sign in with a wrong password")
	_, err = s.SignIn(t.Context(), email, newPassword, device)
	require.ErrorIs(t, err, auth.ErrCredentials)
	require.NoError(t, w.client.User.UpdateOneID(id).SetLockUntil(time.Now().Add(-time.Hour)).Exec(t.Context()))
	during("sign in when a lock has ended")
	_, err = s.SignIn(t.Context(), email, password, device)
	require.NoError(t, err)
	later := w.serviceAt(t, client, time.Hour)
	during("check a session")
	_, _, err = later.CheckSession(t.Context(), grant.Token)
	require.NoError(t, err)
	require.NoError(t, later.Close(t.Context()))
	during("list sessions")
	_, err = w.serviceAt(t, client, 2*day).Sessions(t.Context(), id)
	require.NoError(t, err)
	issued := w.issue(t, email, schematype.OTPSignIn)
	during("verify a wrong code")
	require.ErrorIs(t, s.VerifyCode(t.Context(), schematype.OTPSignIn, issued.Ticket, auth.ParseCode("wrong")),
		auth.ErrCode)
	during("change a role")
	require.NoError(t, s.ChangeRole(t.Context(), id, schematype.RoleAdmin))
	during("revoke the other sessions")
	require.NoError(t, only(s.RevokeOtherSessions(t.Context(), id, grant.Session.ID)))
	during("revoke a session")
	require.NoError(t, only(s.RevokeSession(t.Context(), id, grant.Session.ID)))
	during("delete")
	require.NoError(t, only(s.Delete(t.Context(), id)))
	during("reactivate")
	_, err = s.Reactivate(t.Context(), email, newPassword, device)
	require.ErrorIs(t, err, auth.ErrCredentials)
	email = w.email()
	w.register(t, email)
	w.verify(t, email)
	known := auth.Device{Token: w.signIn(t, email).Token}
	during("issue a code to a known device")
	_, err = w.service(t, client, 0).IssueCode(t.Context(),
		auth.CodeRequest{Email: email, Kind: schematype.OTPSignIn, Device: known})
	require.NoError(t, err)
	during("issue a code to whoever has a link")
	_, err = w.service(t, client, 0).IssueCode(t.Context(), auth.CodeRequest{
		Email: w.email(), Kind: schematype.OTPPasswordReset, Device: anybody(), Link: auth.ParseCode("a link"),
	})
	require.NoError(t, err)
	_, err = w.at(t, -100*day).SignIn(t.Context(), email, password, device)
	require.NoError(t, err)
	large := w.email()
	id = w.register(t, large)
	w.signIn(t, large)
	require.NoError(t, only(w.at(t, -100*day).Delete(t.Context(), id)))
	during("purge")
	_, err = s.Purge(t.Context(), auth.PurgeOptions{Batch: 1, FullRate: true}) // else it asks after the server, too
	require.NoError(t, err)
	for _, dryRun := range []bool{true, false} {
		during(map[bool]string{true: "count what a purge deletes", false: "purge"}[dryRun])
		_, err = s.Purge(t.Context(), auth.PurgeOptions{DryRun: dryRun})
		require.NoError(t, err)
	}
	email = w.email()
	w.register(t, email)
	grant = w.signIn(t, email)
	op := w.service(t, client, 0).Operator()
	during("find an account")
	_, err = op.FindByEmail(t.Context(), email)
	require.NoError(t, err)
	during("count what is live of a user")
	_, err = op.Count(t.Context(), grant.User.ID)
	require.NoError(t, err)
	during("trace a token")
	for _, token := range []auth.Token{grant.Token, grant.Refresh} {
		_, err = op.Trace(t.Context(), token)
		require.NoError(t, err)
	}
	during("export")
	_, err = op.Export(t.Context(), grant.User.ID)
	require.NoError(t, err)
	during("sign in with a wrong password")
	for _, token := range []auth.Token{grant.Token, grant.Refresh} {
		known := device
		known.Token = token
		_, err = w.service(t, client, 0).SignIn(t.Context(), email, newPassword, known)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	during("end a chain without a family")
	for _, end := range []func(auth.Token) error{
		func(first auth.Token) error { return rotate(first)(t.Context(), w.service(t, client, 0)) },
		func(first auth.Token) error { return only(s.RevokeRefresh(t.Context(), first)) },
	} {
		first := w.chain(t, w.register(t, w.email()), 3)
		if err := end(first); err != nil {
			require.ErrorIs(t, err, auth.ErrReuse)
		}
	}
	during("rotate")
	require.NoError(t, rotate(grant.Refresh)(t.Context(), w.service(t, client, time.Millisecond)))
	mysqltest.Eventually(t, "the salt is erased", func() bool {
		n, err := w.client.RefreshToken.Query().Where(refreshtoken.SuccessorSaltNotNil(),
			refreshtoken.UserID(grant.User.ID)).Count(t.Context())
		return err == nil && n == 0
	})
	mu.Lock()
	defer mu.Unlock()
	return slices.DeleteFunc(slices.Clone(all), func(s statement) bool {
		return !planned.MatchString(s.query)
	})
}

var planned = regexp.MustCompile("^(SELECT|UPDATE|DELETE|WITH)")

// operation is what a transition is a case of.
func operation(name string) string {
	name, _, _ = strings.Cut(name, " beyond ")
	if strings.HasPrefix(name, "purge ") {
		return "purge"
	}
	return name
}

// spied is a client of which every statement is seen: by the server, or by SQLite's driver.
func (w *world) spied(t *testing.T, sees func(query string)) *ent.Client {
	t.Helper()
	if mysqltest.IsSQLite(w.url) {
		s := saboteur{sees: sees}
		return w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return faultyDriver{d, &s} }))
	}
	proxy := mysqltest.Proxy{Hook: func(_ int, query string) mysqltest.Action {
		if !strings.HasPrefix(query, "SHOW GLOBAL VARIABLES") { // of a new connection, not of the service
			sees(query)
		}
		return mysqltest.Forward
	}}
	// As text, which EXPLAIN takes.
	client, err := authgraph.Open(t.Context(), proxy.Start(t, w.url), authgraph.WithStatements(0))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

const digits = `(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
	UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)`

// numbers is a table of the numbers below 20,000.
const numbers = `(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d AS n FROM ` +
	digits + ` a, ` + digits + ` b, ` + digits + ` c, ` + digits + ` d, (SELECT 0 d UNION ALL SELECT 1) e) numbers`

// load fills each table with as many rows as an optimizer needs to care.
func load(t testing.TB, db *sql.DB) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO users (id, name, email, is_deleted, deleted_at)
			SELECT n + 1, 'Ada', CONCAT('load', n, '@example.com'), n % 50 = 0, IF(n % 50 = 0,
			NOW(6) - INTERVAL n % 7 DAY, NULL) FROM ` + numbers,
		`INSERT INTO sessions (user_id, token_hash, is_active, last_used_at, expires_at)
			SELECT n DIV 4 + 1, SHA2(n, 256), n % 4 < 2, NOW(6), NOW(6) + INTERVAL 1 + n % 30 DAY FROM ` + numbers,
		`INSERT INTO refresh_tokens (user_id, token_hash, is_revoked, expires_at)
			SELECT n DIV 4 + 1, SHA2(n, 256), n % 4 < 2, NOW(6) + INTERVAL 1 + n % 90 DAY FROM ` + numbers,
		`INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at, is_used)
			SELECT CONCAT('load', n DIV 4, '@example.com'), SHA2(n, 256), 'signin', NOW(6),
			NOW(6) + INTERVAL n % 10 MINUTE, n % 4 < 3 FROM ` + numbers,
		`ANALYZE TABLE users, sessions, refresh_tokens, otps`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

// explain says for each table of a query by which index it is read, and whether its rows are sorted. It is nil where
// the server has found by unique indexes alone that no row matches.
func explain(t *testing.T, db *sql.DB, query string) (tables []queryplan.Access) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN FORMAT=TRADITIONAL "+query)
	require.NoError(t, err, query)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		dest := make([]any, len(names))
		for i := range values {
			dest[i] = &values[i]
		}
		require.NoError(t, rows.Scan(dest...))
		of := func(name string) string { return values[slices.Index(names, name)].String }
		if of("table") == "" {
			assert.Regexp(t, "Impossible WHERE noticed after reading const tables|no matching row in const table",
				of("Extra"), query)
			continue
		}
		if isOwn(query, of("table")) {
			continue
		}
		a := queryplan.Access{Table: tableOf(query, of("table")), Index: of("key"),
			Sorted: strings.Contains(of("Extra"), "Using filesort")}
		if of("type") == "ALL" || of("type") == "index" {
			a.Index = ""
		}
		tables = append(tables, a)
	}
	require.NoError(t, rows.Err())
	return tables
}

// explainSQLite does the same. The values of the query do not count there.
func explainSQLite(t *testing.T, db *sql.DB, query string) (tables []queryplan.Access) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
	require.NoError(t, err, query)
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
		if strings.HasPrefix(detail, "USE TEMP B-TREE") {
			tables[len(tables)-1].Sorted = true
			continue
		}
		if nested.MatchString(detail) { // its tables follow
			continue
		}
		m := step.FindStringSubmatch(detail)
		require.NotNil(t, m, "%s: %s", query, detail)
		if isOwn(query, m[2]) {
			continue
		}
		a := queryplan.Access{Table: tableOf(query, m[2]), Index: m[4]}
		if m[3] != "" {
			a.Index = "PRIMARY"
		}
		if m[1] == "SCAN" {
			a.Index = ""
		}
		tables = append(tables, a)
	}
	require.NoError(t, rows.Err())
	return tables
}

var nested = regexp.MustCompile("SCALAR SUBQUERY|^(CO-ROUTINE|MATERIALIZE|SETUP|RECURSIVE STEP)")

// step is a table in SQLite's plan.
var step = regexp.MustCompile(`^(SEARCH|SCAN) (\w+)(?: USING (?:(INTEGER PRIMARY KEY)|(?:COVERING )?INDEX (\w+)))?`)

// tableOf is the table that a query calls by a name.
func tableOf(query, name string) string {
	m := regexp.MustCompile("\\b(?:FROM|JOIN|UPDATE) `?(\\w+)`? (?:AS )?" + name + `\b`).FindStringSubmatch(query)
	if m == nil {
		return name
	}
	return m[1]
}

// isOwn reports whether a query calls its own rows by a name.
func isOwn(query, name string) bool {
	return strings.HasPrefix(name, "<") || strings.HasPrefix(query, "WITH RECURSIVE "+tableOf(query, name)+" ")
}

var (
	literal = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|\b\d+\b`)
	list    = regexp.MustCompile(`\?(?:, \?)+`)
	quoted  = regexp.MustCompile("(?:`\\w+`\\.)?`(\\w+)`")
	columns = regexp.MustCompile(`^(SELECT|UPDATE \S+(?: AS u)? SET) .*? (FROM|WHERE)`)
)

// normalForm is a query without what differs from call to call, and without the columns it reads or writes.
func normalForm(query string) string {
	query = strings.Join(strings.Fields(query), " ")
	query = list.ReplaceAllString(literal.ReplaceAllString(query, "?"), "?")
	query = columns.ReplaceAllString(query, "$1 … $2")
	return quoted.ReplaceAllString(query, "$1")
}
