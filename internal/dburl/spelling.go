package dburl

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The spellings of other programs. What means the same here and cannot weaken a connection is read; for all else the
// error says what to write. No error repeats a part of the address but the scheme and the names of parameters: in an
// address that is misread any other part may be the password.

var (
	// unread is a variable or a placeholder that stands where its value should.
	unread = regexp.MustCompile(`\$\{\w*\}|\$\(\w+\)|^\$[A-Za-z_]\w*$|^%\w+%$|\{\{|^<[^<>]*>$|^\[[A-Za-z_ -]*\]$|` +
		`^env\(|^\$env:|^process\.env\b`)
	// unreadPassword is the part of them that is no password.
	unreadPassword = regexp.MustCompile(`^(\$\{\w+\}|\{\{.*\}\}|%[A-Z_]+%)$`)
	// assignment is a line of a shell or of a file .env.
	assignment = regexp.MustCompile(`(?i)^(?:export\s+|set\s+)?[a-z_][a-z0-9_]*=\s*["']?\w[\w+]*:`)
	// noSlashes is a scheme that is not followed by ://.
	noSlashes = regexp.MustCompile(`(?i)^(?:mysql|mariadb|maria)[a-z0-9+]*(?::/?|//)`)
	hostless  = regexp.MustCompile(`^[^(]*@[\w.-]+(?::\d+)?/`)
	schemes   = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,30}$`)
	// notInHost are characters that no host has.
	notInHost = regexp.MustCompile("[\\s$<>{}()\"'`,;=&#^|\\\\*]")
	// notInPath are characters that are more likely a mistake than a part of a database's name.
	notInPath = regexp.MustCompile("[/#;&<>{}\"'`\\s]")
)

// pythonDrivers follow mysql+ and mariadb+ in SQLAlchemy's schemes, and say nothing about the connection.
var pythonDrivers = []string{
	"aiomysql", "asyncmy", "cymysql", "mariadbconnector", "mysqlclient", "mysqlconnector", "mysqldb", "oursql",
	"pymysql",
}

// plainScheme is the scheme without the driver that another program is to take.
func plainScheme(scheme string) string {
	if scheme == "mysql2" { // Ruby's
		return "mysql"
	}
	if base, of, _ := strings.Cut(scheme, "+"); slices.Contains(pythonDrivers, of) {
		return base
	}
	return scheme
}

const exampleURL = "mysql://user:password@host:3306/database"

// wholly is the error of an address that is none as a whole; nil if its parts decide.
func wholly(raw string) error {
	switch first := raw[:1]; {
	case unread.MatchString(raw) && !strings.Contains(raw, "://") && !strings.Contains(raw, "@"):
		return missing(PartURL)
	case strings.ContainsAny(first, "\"'`"):
		return wrong(PartURL, "begins with a quote",
			"take the quotes out: what reads it as docker --env-file does keeps them")
	case assignment.MatchString(raw):
		return wrong(PartURL, "begins with the name of a variable", "give what follows the =")
	case strings.HasPrefix(strings.ToLower(raw), "jdbc:"):
		return wrong(PartScheme, "is that of Java",
			"take out jdbc:, and write user and password before the host, as in "+exampleURL)
	}
	return nil
}

func missing(part string) *Error {
	return wrong(part, "is a variable or a placeholder without its value", "put the value there "+
		"(a shell does so in double quotes, not in single ones; a $ of its own is written %24)")
}

// noDSN is the error of an address that is neither a URL nor the driver's DSN.
func noDSN(raw string) *Error {
	switch {
	case noSlashes.MatchString(raw):
		return wrong(PartScheme, "is not followed by ://", "write "+exampleURL)
	case hostless.MatchString(raw):
		return wrong(PartURL, "has no scheme", "write mysql:// before it")
	case strings.Contains(raw, "@"):
		return wrong(PartURL, "is not of the form user:password@tcp(host:3306)/database", "write "+exampleURL)
	}
	return wrong(PartURL, "is none", "write "+exampleURL+", or sqlite://file.db for a file")
}

// checkHost refuses what stands for a host and is none.
func checkHost(host string) error {
	switch {
	case unread.MatchString(host):
		return missing(PartHost)
	case strings.HasPrefix(host, "tcp(") || strings.Contains(host, "@tcp("):
		return wrong(PartHost, "is in the form of the driver's DSN",
			"write host:3306 in place of tcp(host:3306), or take out mysql://")
	case strings.HasPrefix(host, "unix("):
		return wrong(PartHost, "is in the form of the driver's DSN", "write mysql+unix://user:password@/path/to.sock"+
			"?database=name")
	case notInHost.MatchString(host):
		return wrong(PartHost, "has a character that no host has",
			"write %40 for an @ of the password, and %2F for a /")
	}
	return nil
}

// withoutUser is what to do if user and password were taken for the host.
const withoutUser = "write user:password@host:3306 (in the password a / is written %2F, an @ %40)"

// address is an IPv6 address in brackets; in a URL the % before its zone is written %25 (RFC 6874).
func address(host string) (string, error) {
	end := strings.LastIndexByte(host, ']')
	if !strings.HasPrefix(host, "[") || end < 0 {
		return host, nil
	}
	ip, err := url.PathUnescape(host[1:end])
	if err == nil {
		_, err = netip.ParseAddr(ip)
	}
	if err != nil {
		return "", wrong(PartHost, "has brackets that hold no IPv6 address", "")
	}
	return "[" + ip + "]" + host[end+1:], nil
}

// checkPath refuses a database's name that is followed by something else.
func checkPath(path string) error {
	if unread.MatchString(path) {
		return missing(PartDatabase)
	}
	at := notInPath.FindStringIndex(path)
	if at == nil {
		return nil
	}
	switch c := path[at[0]]; c {
	case '&':
		return wrong(PartDatabase, "is followed by an &", "parameters begin with a ? (an & of the name is written %26)")
	case ';', '"', '\'', '`', '#', '/':
		return wrong(PartDatabase, "has a "+string(c), "take it out, or write it "+url.QueryEscape(string(c)))
	}
	return wrong(PartDatabase, "has a character that names seldom have", "percent-encode it")
}

// Parameters of other programs that say how they work, and not what a connection is: accepted without effect, as those
// of the driver that are decided here.
var ofOthers = []string{
	"allowPublicKeyRetrieval", "autoReconnect", "connectionLimit", "connection_limit", "max_overflow", "pool",
	"pool_recycle", "pool_size", "pool_timeout", "prepared_statements", "reconnect", "serverVersion",
	"statement_cache_size", "useUnicode",
}

// insteadOf is what to do with other programs' parameters that have a spelling of their own here.
var insteadOf = map[string]string{
	"connect_timeout": connectForm, "connecttimeout": connectForm, "connection_timeout": connectForm,
	"socket_timeout": readForm, "sockettimeout": readForm, "read_timeout": readForm, "write_timeout": readForm,
	"socket": socketForm, "socketpath": socketForm, "unix_socket": socketForm, "unixsocket": socketForm,
	"schema": databaseForm, "database": databaseForm, "dbname": databaseForm,
	"host": userForm, "port": userForm, "user": userForm, "username": userForm, "uid": userForm, "passwd": userForm,
	"pwd": userForm,
}

const (
	connectForm  = "use timeout=10s"
	readForm     = "use readTimeout=30s and writeTimeout=30s"
	socketForm   = "use mysql+unix:///path/to.sock?database=app"
	databaseForm = "take it out: the database's name stands after the host, as in …:3306/app"
	userForm     = "take it out: the address begins with user:password@host:3306"
)

// ofTLS begins the names that say how other programs encrypt.
var ofTLS = []string{"ssl", "tls", "usessl", "requiressl", "verifyservercertificate", "trustservercertificate"}

// insteadOfTLS is what to write for another program's parameter that says how a connection is encrypted. None is read
// as it is: programs differ in what each word verifies, and in what they do if the server offers no encryption.
func insteadOfTLS(name, value string) string {
	name = strings.NewReplacer("-", "", "_", "").Replace(name)
	value = strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(value))
	switch {
	case strings.HasSuffix(name, "cert") && name != "sslrootcert":
		return "use tls-ca=FILE for the authority's certificate, tls-cert=FILE and tls-key=FILE for one of your own"
	case strings.HasSuffix(name, "ca"), strings.HasSuffix(name, "rootcert"):
		return "use tls-ca=FILE"
	case strings.HasSuffix(name, "key"), strings.HasSuffix(name, "identity"), strings.HasSuffix(name, "password"):
		return "use tls-cert=FILE and tls-key=FILE, both in PEM form"
	case name != "trustservercertificate" &&
		slices.Contains([]string{"disabled", "disable", "false", "0", "off", "no"}, value):
		return "take it out: without tls=true the connection is not encrypted"
	case value == "preferred" || value == "prefer" || value == "allow":
		return "use tls=true, or tls=preferred, which goes on unencrypted where the server offers nothing else"
	case value == "required" || value == "require" || value == "acceptinvalidcerts" || name == "trustservercertificate":
		return "use tls=true, or tls=skip-verify, which encrypts to whoever answers"
	}
	return "use tls=true, and tls-ca=FILE for a certificate of your own authority"
}
