package dburl

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "mysql://", "mysql://ada:pw@localhost:3306/app?tls=true", "mariadb+unix://ada:pw@/run/s.sock?database=app",
		"ada:pw@tcp(localhost:3306)/app?parseTime=true", "sqlite:///app.db?_pragma=x", "file:app.db", "://",
		"mysql://[::1", "@/", "/?", "a:b@tcp(c",
		"mysql://a:b@c/d?e=f;g", "mysql://%zz@h/d", "mysql://h:99999/d", "file:%00",
		"mysql://u:p@h/d?charset=,&collation=x", "u@(/)/?",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := Parse(raw)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Part == "" || err.Error() == "" {
				t.Fatalf("%q: %v does not tell the part", raw, err)
			}
			return
		}
		if u.NeedDatabase() == nil && u.Database() == "" {
			t.Fatalf("%q has no database", raw)
		}
		if u.WithDatabase("other").Database() != "other" {
			t.Fatalf("%q does not change its database", raw)
		}
		_ = u.String()
		if db, err := u.OpenDB(); err == nil {
			_ = db.Close()
		}
	})
}

// Whatever part of an address a password ends up in, because it was encoded or because it was not, it is not shown.
func FuzzParseKeepsThePassword(f *testing.F) {
	for _, seed := range []string{"hunter2!", "p@ssw0rd", "pass/word", "pass?word", "pass%word", "pass#word",
		"pa:ss:word", "12345678", "pass]word", "${pass}word", "$pass",
		"[pass]word", "pass,word", "pass&word", "'password'",
		"tcp(pass)/word", "://secret", "a=b@cdef", "%70assword"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, password string) {
		const rest = "mysql://ada@db.example.com:3306/app?timeout=5s ada:***@tcp() mariadb"
		for _, c := range []struct{ form, raw string }{
			{"encoded", "mysql://" + url.UserPassword("ada", password).String() +
				"@db.example.com:3306/app?timeout=5s"},
			{"raw", "mysql://ada:" + password + "@db.example.com:3306/app?timeout=5s"},
			{"without a host", "mysql://ada:" + password},
			{"without a host, with a database", "mysql://ada:" + password + "/app"},
			{"another scheme", "postgres://ada:" + password + "@db.example.com/app"},
			{"wrong port", "mariadb://ada:" + password + "@db.example.com:port/app"},
			{"wrong parameter", "mysql://ada:" + password + "@db.example.com/app?timeout=soon"},
			{"DSN", "ada:" + password + "@tcp(db.example.com:3306)/app?timeout=5s"},
			{"broken DSN", "ada:" + password + "@tcp(db.example.com:3306/app"},
			{"DSN without a database", "ada:" + password + "@tcp(db.example.com:3306)"},
		} {
			shown := ""
			u, err := Parse(c.raw)
			if err != nil {
				shown = err.Error()
			} else if shown = u.String(); u.NeedDatabase() != nil {
				shown += u.NeedDatabase().Error()
			}
			// Rightly read as the port of a host ada, or as the host after an @.
			if strings.HasPrefix(c.form, "without a host") && (strings.Contains(password, "@") ||
				portFirst.MatchString(password)) {
				continue
			}
			for _, piece := range pieces(password) {
				if !strings.Contains(rest, piece) && !isWording(piece) && strings.Contains(shown, piece) {
					t.Fatalf("%s: %q shows %q of the password in %q", c.form, c.raw, piece, shown)
				}
			}
		}
	})
}

var portFirst = regexp.MustCompile(`^[0-9]+([/?]|$)`)

// pieces are the password and what it falls apart into where it is misread.
func pieces(password string) []string {
	var long []string
	for _, p := range append(strings.FieldsFunc(password,
		func(r rune) bool { return strings.ContainsRune(":/@?#%&=()[];", r) }), password) {
		if len(p) >= 4 {
			long = append(long, p, url.PathEscape(p), url.QueryEscape(p))
		}
	}
	return long
}

// isWording tells whether an error says s whatever the password is.
func isWording(s string) bool {
	for _, raw := range []string{
		"", "x", "postgres://x", "mysql://", "mysql://h:x/app", "mysql://a:b/c@d", "mysql://a:b?c@d", "mysql://%@h",
		"mysql://a:%@h", "mysql://h?a;b",
		"mysql://h/%", "mysql://::1", "mysql://h/app?timeout=soon", "a@tcp(/", "mysql://h", "'", "A=mysql:", "jdbc:",
		"$X", "mysql://$X@h", "mysql://a:${X}@h", "mysql://tcp(h", "mysql://unix(h", "mysql://h,h", "mysql://h;",
		"mysql://[x]", "mysql://h/&", "mysql://h/;", "mysql://h/<", "mysql:h", "a:b@h/", "{x}://",
	} {
		u, err := Parse(raw)
		if err == nil {
			err = u.NeedDatabase()
		}
		if err != nil && strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

func FuzzParseGivesBackWhatWasEncoded(f *testing.F) {
	f.Add("ada", "p@s:s/w?o%rd#", "app")
	f.Add("a@b:c/d", "", "my app")
	f.Add("", "", "")
	f.Add("+", "%2B ", "a/b?c")
	f.Fuzz(func(t *testing.T, user, password, database string) {
		for _, s := range []*string{&user, &password, &database} {
			*s = strings.ToValidUTF8(*s, "\uFFFD")
		}
		encode := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
		raw := "mysql://" + encode(user) + ":" + encode(password) + "@localhost:3306/" + encode(database)
		u, err := Parse(raw)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if u.server.User != user || u.server.Passwd != password || u.server.DBName != database {
			t.Fatalf("%q: got %q, %q, %q", raw, u.server.User, u.server.Passwd, u.server.DBName)
		}
		shown, err := Parse(u.String())
		if err != nil || shown.String() != u.String() {
			t.Fatalf("%q is shown as %q, which does not parse: %v", raw, u, err)
		}
	})
}
