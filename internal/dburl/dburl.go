// Package dburl reads database URLs and connects to what they name. No other package
// decides how a connection is set up.
//
//	u, err := dburl.Parse("mysql://user:password@host:3306/app")
//	db, err := u.Connect(ctx)
package dburl

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/failover"
	"github.com/authgraph/authgraph/internal/mysqlconn"
	"github.com/authgraph/authgraph/stmtcache"
)

// The parts of a database URL an [Error] can name.
const (
	PartURL       = "url"
	PartScheme    = "scheme"
	PartUser      = "user"
	PartPassword  = "password"
	PartHost      = "host"
	PartDatabase  = "database"
	PartFile      = "file"
	PartParameter = "parameter"
)

// Error says which part of a database URL is at fault. It never holds the password.
type Error struct {
	// URL is the address without its password; empty if it could not be read, when no part of it is repeated.
	URL string
	// Part is the part at fault, one of the Part constants.
	Part string
	// Err is what is wrong with it. It wraps the error of the server or the network, if there is one.
	Err error
	// Fix is what to do; empty if Err says it all.
	Fix string
}

func (e *Error) Error() string {
	text := "database URL"
	if e.URL != "" {
		text += " " + e.URL
	}
	text = fmt.Sprintf("%s: %s: %v", text, e.Part, e.Err)
	if e.Fix != "" {
		text += ": " + e.Fix
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// wrong is an error of a part that could not be read.
func wrong(part, found, fix string) *Error {
	return &Error{Part: part, Err: errors.New(found), Fix: fix}
}

// errPairs is a query that is not one.
func errPairs() *Error { return wrong(PartParameter, "are not of the form name=value&name=value", "") }

// URL is the address of a database.
type URL struct {
	// Dialect is Ent's name of it: dialect.MySQL (MariaDB too) or dialect.SQLite.
	Dialect string

	scheme string
	server *mysql.Config // of a MySQL or MariaDB server
	hosts  []string      // of several servers, whose first is that of server; else nil
	files  tlsFiles      // of its certificates
	file   string        // of SQLite: the file's path, or its file: URI
	params url.Values    // of SQLite: the parameters of the URI
	// statements are kept prepared on each connection to a server.
	statements int
	reading    Reading
}

// Reading is what connections to a server read that is not the one to write to.
type Reading int

// The ways of reading.
const (
	ReadWrite  Reading = iota // it is the one to write to
	ReadCausal                // what was committed before a statement, anywhere
	ReadStale                 // what the server has at the time
)

// ForReading is the same address for connections that only read. SQLite has no other server, and reads what was
// committed.
func (u *URL) ForReading(r Reading) *URL {
	c := *u
	c.reading = r
	return &c
}

// Parse reads a database address in one of these forms:
//
//	mysql://user:password@host:3306/database?param=value   (or mariadb://, maria://)
//	mysql://user:password@h1:3306,h2:3306/database         (the servers of a cluster)
//	mysql+unix:///path/to/socket?database=name             (also user:password@)
//	user:password@tcp(host:3306)/database?param=value      (the driver's DSN)
//	sqlite://relative/file.db, sqlite:///absolute/file.db
//	file:relative/file.db                                  (the driver's DSN)
//
// Parameters are those of the driver. White space around the address, which files add, does not count. Errors are of
// type [*Error].
func Parse(raw string) (*URL, error) {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return nil, wrong(PartURL, "is empty", "give one such as "+exampleURL)
	}
	if err := wholly(raw); err != nil {
		return nil, err
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	for _, of := range []string{"file:", "sqlite:", "sqlite3:"} {
		file, found := strings.CutPrefix(raw, of)
		uri, slashes := strings.CutPrefix(file, "//")
		switch {
		case !found, slashes && of != "file:":
		case slashes && !strings.HasPrefix(uri, "/"):
			return nil, wrong(PartFile, "has a host", "write file:app.db, or sqlite://app.db")
		case slashes:
			return parseSQLite(uri)
		default:
			return parseSQLite(file)
		}
	}
	if !ok || strings.ContainsAny(scheme, "@:/(") {
		return parseDSN(raw)
	}
	switch scheme = plainScheme(strings.ToLower(scheme)); scheme {
	case "sqlite", "sqlite3":
		return parseSQLite(rest)
	case "mysql", "mariadb", "maria", "mysql+unix", "mariadb+unix", "maria+unix":
		return parseServer(scheme, rest)
	default:
		if !schemes.MatchString(scheme) {
			return nil, wrong(PartScheme, "is none", "write "+exampleURL)
		}
		return nil, wrong(PartScheme, fmt.Sprintf("%q is not supported", scheme), "use mysql, mariadb or sqlite")
	}
}

// SetParameters is the address raw, in any form that [Parse] reads, with these parameters in the place of its own of
// the same names, in whatever case: a server does not tell them apart. A name without a value is taken out. Those of a
// server that the driver does not know are session variables, and their values SQL.
func SetParameters(raw string, params url.Values) string {
	raw = strings.TrimSpace(raw)
	start := 0
	scheme, _, ok := strings.Cut(raw, "://")
	if !strings.HasPrefix(raw, "file:") && (!ok || strings.ContainsAny(scheme, "@:/(")) {
		// A password in the driver's form may hold a question mark.
		start = strings.LastIndexByte(raw, '/') + 1
	}
	last, query, _ := strings.Cut(raw[start:], "?")
	var pairs []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		replaced := func(set string) bool { return strings.EqualFold(set, name) }
		if pair != "" && !slices.ContainsFunc(slices.Collect(maps.Keys(params)), replaced) {
			pairs = append(pairs, pair)
		}
	}
	if set := params.Encode(); set != "" {
		pairs = append(pairs, set)
	}
	if len(pairs) == 0 {
		return raw[:start] + last
	}
	return raw[:start] + last + "?" + strings.Join(pairs, "&")
}

// parseServer reads what follows mysql:// by hand where net/url would put a part of the password into its error.
func parseServer(scheme, rest string) (*URL, error) {
	u := &URL{Dialect: dialect.MySQL, scheme: strings.TrimSuffix(scheme, "+unix"), server: mysql.NewConfig()}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	userinfo, host := "", authority
	if at := strings.LastIndexByte(rest, '@'); at > len(authority) {
		return nil, wrong(PartPassword, "has a /", "write it %2F (an @ in a database's name is written %40)")
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		userinfo, host = authority[:at], authority[at+1:]
	}
	if strings.Contains(query, "@") {
		return nil, wrong(PartPassword, "has a ?", "write it %3F (an @ in a parameter is written %40)")
	}
	user, password, _ := strings.Cut(userinfo, ":")
	switch {
	case unread.MatchString(user):
		return nil, missing(PartUser)
	case unreadPassword.MatchString(password):
		return nil, missing(PartPassword)
	case strings.HasSuffix(scheme, "+unix") && host != "":
		return nil, wrong(PartHost, "has no place in the address of a socket", "write "+scheme+
			"://user:password@/path/to.sock?database=name")
	}
	var err error
	if u.server.User, err = url.PathUnescape(user); err != nil {
		return nil, wrong(PartUser, "is not percent-encoded right", "write a % in it %25")
	}
	if u.server.Passwd, err = url.PathUnescape(password); err != nil {
		return nil, wrong(PartPassword, "is not percent-encoded right", "write a % in it %25")
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, errPairs()
	}
	isSocket := strings.HasSuffix(scheme, "+unix")
	if !isSocket {
		// The host first: where the @ was forgotten, the password is a part of both.
		for one := range strings.SplitSeq(host, ",") {
			if err := checkHost(one); err != nil {
				return nil, err
			}
		}
		if err := checkPath(path); err != nil {
			return nil, err
		}
	}
	if path, err = url.PathUnescape(path); err != nil {
		return nil, wrong(PartDatabase, "is not percent-encoded right", "write a % in it %25")
	}
	if isSocket {
		u.server.Net, u.server.Addr = "unix", "/"+path
		u.server.DBName = params.Get("database")
		params.Del("database")
	} else {
		u.server.Net, u.server.DBName = "tcp", path
		for one := range strings.SplitSeq(host, ",") {
			if one, err = hostPort(one); err != nil {
				return nil, err
			}
			u.hosts = append(u.hosts, one)
		}
		if u.server.Addr = u.hosts[0]; len(u.hosts) == 1 {
			u.hosts = nil
		}
	}
	return u.tune(params)
}

func hostPort(host string) (string, error) {
	if host == "" {
		return "", wrong(PartHost, "is missing", "")
	}
	host, err := address(host)
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(host, "]") || !strings.Contains(host, ":") {
		host += ":3306"
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return "", wrong(PartHost, "is not of the form host:port (an IPv6 address goes in brackets)", "")
	}
	if name == "" {
		return "", wrong(PartHost, "is missing", "")
	}
	// The port is not repeated: where the host was forgotten, it is the password.
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", wrong(PartHost, "has a port that is not a number from 1 to 65535", withoutUser)
	}
	return host, nil
}

// parseDSN reads the driver's own form.
func parseDSN(dsn string) (*URL, error) {
	// The driver's parser leaves secrets in some of its errors.
	if !strings.Contains(dsn, "/") {
		return nil, noDSN(dsn)
	}
	base, query := dsn, ""
	if i := strings.LastIndexByte(dsn, '/'); strings.Contains(dsn[i:], "?") {
		j := i + strings.IndexByte(dsn[i:], '?')
		base, query = dsn[:j], dsn[j+1:]
	}
	cfg, err := mysql.ParseDSN(base)
	// An @ after the last slash: the slash is one of the password.
	if err != nil || strings.Contains(cfg.DBName, "@") {
		return nil, noDSN(dsn)
	}
	switch {
	case cfg.Net == "tcp" && strings.Contains(cfg.Addr, ","):
		return nil, wrong(PartHost, "is more than one", "write mysql://user:password@h1:3306,h2:3306/database")
	case unread.MatchString(cfg.User):
		return nil, missing(PartUser)
	case unread.MatchString(cfg.Addr):
		return nil, missing(PartHost)
	case unread.MatchString(cfg.DBName):
		return nil, missing(PartDatabase)
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, errPairs()
	}
	u := &URL{Dialect: dialect.MySQL, scheme: "mysql", server: cfg}
	return u.tune(params)
}

// sqliteParams are on every SQLite connection: a writer waits for another, a transaction takes its lock when it begins
// so that it cannot fail half way, readers do not block, times are UTC text that sorts. See also [check].
var sqliteParams = url.Values{
	"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", sqliteWait.Milliseconds()), "journal_mode(WAL)", "synchronous(NORMAL)",
	},
	"_txlock":      {"immediate"},
	"_time_format": {"sqlite"},
	"_timezone":    {"UTC"},
}

func parseSQLite(rest string) (*URL, error) {
	file, query, _ := strings.Cut(strings.TrimPrefix(rest, "file:"), "?")
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, errPairs()
	}
	if file, err = url.PathUnescape(file); err != nil {
		return nil, wrong(PartFile, "is not percent-encoded right", "write a % in it %25")
	}
	if unread.MatchString(file) {
		return nil, missing(PartFile)
	}
	if file == ":memory:" || params.Get("mode") == "memory" {
		return nil, wrong(PartFile, "is in memory, where every connection would see its own", "name a file")
	}
	if file == "" || strings.HasSuffix(file, "/") {
		return nil, wrong(PartFile, "is missing", "")
	}
	for name, values := range sqliteParams {
		params[name] = append(slices.Clone(values), params[name]...)
	}
	params.Del("_time_integer_format") // it would win over _time_format
	u := &URL{Dialect: dialect.SQLite, scheme: "sqlite", file: file, params: params}
	if slices.Contains(params["mode"], "ro") {
		return u.ReadOnly(), nil
	}
	return u, nil
}

// String is the address without its password, parameters left out.
func (u *URL) String() string {
	if u.Dialect == dialect.SQLite {
		return "sqlite://" + u.file
	}
	b := u.scheme
	if u.server.Net == "unix" {
		b += "+unix"
	}
	b += "://"
	if u.server.User != "" {
		b += escape(u.server.User)
		if u.server.Passwd != "" {
			b += ":***"
		}
		b += "@"
	}
	if u.server.Net == "unix" {
		return b + u.server.Addr + "?database=" + url.QueryEscape(u.server.DBName)
	}
	addrs := strings.Join(u.addrs(), ",")
	addrs = strings.ReplaceAll(addrs, "%", "%25") // before the zone of an IPv6 address
	return b + addrs + "/" + escape(u.server.DBName)
}

// addrs are the addresses of its server, or of all.
func (u *URL) addrs() []string {
	if u.hosts == nil {
		return []string{u.server.Addr}
	}
	return u.hosts
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// Database is the name of the database on its server; for SQLite, the file.
func (u *URL) Database() string {
	if u.Dialect == dialect.SQLite {
		return u.file
	}
	return u.server.DBName
}

// NeedDatabase is an error if the address is that of a server as a whole.
func (u *URL) NeedDatabase() error {
	if u.Database() == "" {
		return &Error{
			Part: PartDatabase, Err: errors.New("is missing"),
			Fix: "put its name after the host, as in …:3306/app",
		}
	}
	return nil
}

// WithDatabase is the same address with another database on the server; for SQLite, with another file.
func (u *URL) WithDatabase(name string) *URL {
	c := *u
	if u.Dialect == dialect.SQLite {
		c.file = name
		return &c
	}
	c.server = u.server.Clone()
	c.server.DBName = name
	return &c
}

// Local reports whether what is sent stays on this machine: to a file, over a socket or to a loopback address.
func (u *URL) Local() bool {
	if u.Dialect == dialect.SQLite || u.server.Net == "unix" {
		return true
	}
	return !slices.ContainsFunc(u.addrs(), func(addr string) bool {
		host, _, err := net.SplitHostPort(addr)
		ip := net.ParseIP(host)
		return err != nil || host != "localhost" && !ip.IsLoopback()
	})
}

// ReadOnly is the same address for connections that only read. They leave a SQLite file and its journal as they are,
// and take no lock to write: one that may write moves the journal into the file when it is the last to close it. SQLite
// may leave an empty -wal and a -shm beside the file. A server's address stays as it is.
func (u *URL) ReadOnly() *URL {
	if u.Dialect != dialect.SQLite {
		return u
	}
	c := *u
	c.params = maps.Clone(u.params)
	c.params.Set("mode", "ro")
	c.params.Del("_txlock")
	c.params["_pragma"] = slices.DeleteFunc(slices.Clone(u.params["_pragma"]), func(pragma string) bool {
		pragma = strings.ToLower(strings.TrimSpace(pragma))
		return strings.HasPrefix(pragma, "journal_mode") || strings.HasPrefix(pragma, "synchronous")
	})
	return &c
}

// DefaultStatements is how many prepared statements each connection to a server keeps by default: room for the texts of
// every path that requests take. What is sent rarely makes room for what is not.
const DefaultStatements = stmtcache.DefaultSize

// WithStatements is the same address whose connections keep up to size prepared
// statements each; 0 is none. SQLite needs none: nothing is sent.
func (u *URL) WithStatements(size int) *URL {
	c := *u
	c.statements = size
	return &c
}

// DefaultStatementTimeout is how long a service waits for the answer to one statement: longer than any of package auth
// takes, and no longer than clients and proxies before a service commonly wait for it.
const DefaultStatementTimeout = 30 * time.Second

// lockWait is how long a statement of a service waits for the locks of others
// at the server, in seconds: what a call that was given up leaves behind there.
const lockWait = "2"

// WithStatementTimeout is the same address for a service, whose connections give up a statement that is not answered
// for d, and wait no longer than lockWait for a lock; 0 bounds neither. The driver's readTimeout and writeTimeout in
// the address, and the session variables innodb_lock_wait_timeout and lock_wait_timeout, say otherwise. SQLite waits by
// itself.
func (u *URL) WithStatementTimeout(d time.Duration) *URL {
	if u.Dialect == dialect.SQLite || d <= 0 {
		return u
	}
	c := *u
	c.server = u.server.Clone()
	c.server.ReadTimeout = cmp.Or(c.server.ReadTimeout, d)
	c.server.WriteTimeout = cmp.Or(c.server.WriteTimeout, d)
	for _, name := range []string{"innodb_lock_wait_timeout", "lock_wait_timeout"} {
		if _, given := c.server.Params[name]; !given {
			c.server.Params[name] = lockWait
		}
	}
	return &c
}

// wrap returns an error for this address. An [*Error] keeps its part.
func (u *URL) wrap(part string, err error) error {
	e := &Error{Part: part, Err: err}
	errors.As(err, &e)
	e.URL = u.String()
	return e
}

// OpenDB makes a pool for the address. It does not connect.
func (u *URL) OpenDB() (*sql.DB, error) {
	c, err := u.connector()
	if err != nil {
		return nil, u.wrap(PartParameter, err)
	}
	return sql.OpenDB(c), nil
}

func (u *URL) connector() (driver.Connector, error) {
	if u.Dialect == dialect.SQLite {
		path := (&url.URL{Path: u.file}).EscapedPath()
		return openSQLite("file:" + path + "?" + u.params.Encode())
	}
	c, err := u.toServers()
	if err != nil {
		return nil, err
	}
	c = mysqlconn.New(c, u.server.Timeout)
	if u.statements < 1 {
		return c, nil
	}
	return stmtcache.New(c, stmtcache.Options{Size: u.statements}), nil
}

// toServers makes the driver's own connections: of several hosts to the one that takes writes, to one that belongs to
// its cluster, or to each in turn.
func (u *URL) toServers() (driver.Connector, error) {
	if u.hosts == nil && u.reading != ReadCausal {
		return u.toServer(u.server.Addr, nil)
	}
	if u.reading == ReadStale {
		return u.inTurn()
	}
	var servers []failover.Server
	for _, host := range u.addrs() {
		sockets := &failover.Sockets{}
		c, err := u.toServer(host, sockets.Dial)
		if err != nil {
			return nil, err
		}
		servers = append(servers, failover.Server{Name: host, Connector: c, Probe: c.Connector, Sockets: sockets})
	}
	if u.reading == ReadCausal {
		return failover.NewForReading(servers), nil
	}
	return failover.New(servers), nil
}

func (u *URL) toServer(
	host string, dial func(ctx context.Context, network, addr string) (net.Conn, error),
) (*causal, error) {
	server := u.server.Clone()
	server.Addr, server.DialFunc = host, dial
	var err error
	if server.TLS, err = u.files.config(); err != nil {
		return nil, err
	}
	c, err := mysql.NewConnector(server)
	if err != nil {
		return nil, err
	}
	return &causal{Connector: c, given: server.Params, reading: u.reading}, nil
}

// inTurn makes connections to each of several hosts in turn, and to the next one where a host does not answer.
func (u *URL) inTurn() (driver.Connector, error) {
	t := &inTurn{}
	for _, host := range u.hosts {
		c, err := u.toServer(host, nil)
		if err != nil {
			return nil, err
		}
		t.servers = append(t.servers, c)
	}
	return t, nil
}

type inTurn struct {
	servers []driver.Connector
	next    atomic.Uint32
}

func (t *inTurn) Connect(ctx context.Context) (conn driver.Conn, err error) {
	first, all := int(t.next.Add(1)), len(t.servers)
	for i := range all {
		bounded, cancel := ctx, func() {}
		if deadline, ok := ctx.Deadline(); ok { // each has its share, or a silent one would have all
			bounded, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(all-i))
		}
		conn, err = t.servers[(first+i)%all].Connect(bounded)
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return conn, err
}

func (t *inTurn) Driver() driver.Driver { return t.servers[0].Driver() }
