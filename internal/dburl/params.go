package dburl

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// sqlMode is MySQL's default without ONLY_FULL_GROUP_BY, which MariaDB's has not.
const sqlMode = "'STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"

// session are the variables that every connection to a server sets, whatever the server's defaults and its init_connect
// are, because an answer depends on them (MySQL manual, Server System Variables):
//   - a write is stored when it is acknowledged (autocommit), also the one after a
//     transaction (completion_type);
//   - nothing is cut or coerced, and quotes are MySQL's (sql_mode); times are UTC;
//   - what a key or a check forbids is refused;
//   - a query finds all rows it asks for, and no others;
//   - a definition of a table is shown in quotes, as migrations read it;
//   - text is UTF-8 in both directions: where the server reads another character set, an
//     argument that the client escaped may still be SQL.
var session = map[string]string{
	"autocommit":            "1",
	"completion_type":       "0",
	"sql_mode":              sqlMode,
	"time_zone":             "'+00:00'",
	"foreign_key_checks":    "1",
	"unique_checks":         "1 /*M!100201 , check_constraint_checks = 1 */", // which MariaDB alone has
	"sql_auto_is_null":      "0",
	"sql_select_limit":      "9223372036854775807", // no limit that is ever met; Vitess reads no larger one
	"sql_quote_show_create": "1",
	"character_set_client":  "'utf8mb4'",
	"character_set_results": "'utf8mb4'",
	"collation_connection":  "'utf8mb4_general_ci'", // sets character_set_connection too
}

// fixed are the values, in the spelling of [plain], of parameters that an address may
// only repeat: those of session, and what would set one of them by another name.
var fixed = map[string][]string{
	"autocommit":               {"1"},
	"completion_type":          {"0", "no_chain"},
	"sql_mode":                 {strings.ToLower(strings.Trim(sqlMode, "'"))},
	"time_zone":                {"+00:00", "utc"},
	"foreign_key_checks":       {"1"},
	"unique_checks":            {"1"},
	"check_constraint_checks":  {"1"},
	"sql_auto_is_null":         {"0"},
	"sql_select_limit":         {"9223372036854775807", "18446744073709551615"},
	"sql_quote_show_create":    {"1"},
	"character_set_client":     {"utf8mb4"},
	"character_set_results":    {"utf8mb4"},
	"character_set_connection": {"utf8mb4"},
	"charset":                  {"utf8mb4", "utf8mb4,utf8"}, // a list, whose first one every server knows
	// The names that other programs have for these.
	"encoding":          {"utf8mb4", "utf8"},
	"characterencoding": {"utf8mb4", "utf8", "utf-8"},
	"timezone":          {"utc", "z", "+00:00", "+0000"},
	"servertimezone":    {"utc", "z", "+00:00", "gmt"},
}

// Parameters of the driver (its README, Parameters). Those that are decided here say how the driver works for its
// caller: they are accepted, since other programs read the same address, and have no effect.
var (
	decided = []string{
		"parseTime", "loc", "timeTruncate", "clientFoundRows", "interpolateParams", "multiStatements",
		"columnsWithAlias",
	}
	driverParameters = []string{
		"allowAllFiles", "allowCleartextPasswords", "allowFallbackToPlaintext", "allowNativePasswords",
		"allowOldPasswords",
		"checkConnLiveness", "compress", "connectionAttributes", "maxAllowedPacket", "readTimeout", "rejectReadOnly",
		"serverPubKey", "timeout", "tls", "writeTimeout",
	}
)

// refused are the variables that a session cannot have for all of its life, and SET's own
// words, which look like variables.
var refused = map[string]string{
	"timestamp":      "it would stop the clock of the session",
	"insert_id":      "it would be the id of whatever is inserted first",
	"last_insert_id": "it would be the id of a row that was not inserted",
	"identity":       "it would be the id of a row that was not inserted",
	"password":       "it would change the account's password: the password stands before the host",
	"names":          "the character set is utf8mb4",
	// These keep acknowledged writes from the other nodes.
	"sql_log_bin":      "what was written would be lost with the server",
	"wsrep_on":         "what was written would be lost with the node",
	"skip_replication": "what was written would be lost with the server",
}

var (
	variableName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	// literal is one number, word or text. Text has no quote, no backslash and ASCII only,
	// so that it ends where it seems to, whatever the server takes for its character set.
	literal = regexp.MustCompile(`^(?:-?[0-9]+(?:\.[0-9]+)?|[a-zA-Z_][a-zA-Z0-9_]*` +
		`|'[ !#-&(-\[\]-~]*'|"[ !#-&(-\[\]-~]*")$`)
	utf8mb4Collation = regexp.MustCompile(`^utf8mb4_[a-z0-9_]+$`)
)

// plain is a value as the server understands it: without quotes, in one case, and a switch as 0 or 1.
func plain(value string) string {
	value = strings.ToLower(value)
	if len(value) > 1 && (value[0] == '\'' || value[0] == '"') && value[len(value)-1] == value[0] {
		value = value[1 : len(value)-1]
	}
	switch value {
	case "on", "true":
		return "1"
	case "off", "false":
		return "0"
	}
	return value
}

// parameters are those of an address, by what they are for.
type parameters struct {
	driver    url.Values        // by the driver's own spelling
	variables map[string]string // of the session, which go into SET as they are
	collation string            // of the connection; empty for the default
	files     tlsFiles
}

// readParameters sorts the parameters of a server's address. Names have one meaning in whatever case: a server does not
// tell cases apart. An error names the parameter, and does not repeat its value.
func readParameters(given url.Values) (*parameters, error) {
	p := &parameters{driver: url.Values{}, variables: maps.Clone(session)}
	seen := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		lower := strings.ToLower(name)
		for _, value := range given[name] {
			if before, twice := seen[lower]; twice && before != value {
				return nil, wrong(PartParameter, printable(name)+" is there twice, with two values", "take one out")
			}
			seen[lower] = value
			if err := p.add(name, lower, value); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

const takeOut = "take it out"

func (p *parameters) add(name, lower, value string) error {
	same := func(other string) bool { return strings.EqualFold(other, name) }
	if slices.ContainsFunc(decided, same) || slices.ContainsFunc(ofOthers, same) {
		return nil
	}
	if lower == "tls" && value == "" {
		return wrong(PartParameter, "tls has no value", "write tls=true")
	}
	if i := slices.IndexFunc(driverParameters, same); i >= 0 {
		p.driver.Set(driverParameters[i], value)
		return nil
	}
	if file := p.files.named(lower); file != nil {
		if *file = value; value == "" {
			return wrong(PartParameter, lower+" names no file", "")
		}
		return nil
	}
	if lower == "collation" || lower == "collation_connection" {
		if p.collation = plain(value); !utf8mb4Collation.MatchString(p.collation) {
			return wrong(PartParameter,
				name+" is not a collation of utf8mb4, the only character set of a connection", takeOut)
		}
		p.variables["collation_connection"] = "'" + p.collation + "'"
		return nil
	}
	if values, ok := fixed[lower]; ok {
		if !slices.Contains(values, plain(value)) {
			return wrong(PartParameter, name+" cannot be changed, every connection sets it to "+values[0], takeOut)
		}
		return nil
	}
	if why, ok := refused[lower]; ok {
		return wrong(PartParameter, name+" cannot be set, "+why, takeOut)
	}
	if fix, ok := insteadOf[lower]; ok {
		return wrong(PartParameter, name+" is not known", fix)
	}
	for _, prefix := range ofTLS {
		if strings.HasPrefix(lower, prefix) {
			return wrong(PartParameter, printable(name)+" is not known", insteadOfTLS(lower, value))
		}
	}
	switch {
	case !variableName.MatchString(name):
		return wrong(PartParameter, "has a name with other characters than letters, digits and underscores",
			"write a session variable without @@ and session.")
	case !literal.MatchString(value):
		return wrong(PartParameter, name+" has a value that cannot be sent as it is",
			"give a number, a word, or a text in quotes (%27) with neither a quote nor a backslash in it")
	}
	p.variables[lower] = value
	return nil
}

// printable is a name as it may be shown.
func printable(name string) string {
	if variableName.MatchString(strings.ReplaceAll(name, "-", "_")) {
		return name
	}
	return "one"
}

// connectTimeout is how long a connection may take to be made, if the address does not say otherwise.
const connectTimeout = "10s"

// refused is the name of the first parameter that the driver does not read.
func (p *parameters) refused() string {
	names := slices.Sorted(maps.Keys(p.driver))
	i := slices.IndexFunc(names, func(name string) bool {
		_, err := mysql.ParseDSN("/?" + url.Values{name: p.driver[name]}.Encode())
		return err != nil
	})
	return names[max(i, 0)]
}

// fix is what to do about the parameter that the driver does not read.
func (p *parameters) fix() string {
	switch name := p.refused(); {
	case name == "tls":
		return "use true, skip-verify, preferred or false"
	case strings.HasSuffix(strings.ToLower(name), "timeout"):
		return "give it a unit, as in 30s"
	case name == "maxAllowedPacket":
		return "give a number of bytes"
	}
	return "use true or false"
}

// tune takes over the parameters and sets those this project decides, beside [session]:
//   - times are read and written in UTC, to the microsecond;
//   - one round trip a query: arguments are escaped by the client;
//   - an UPDATE reports the rows it matched, as on every other database, so
//     that a conditional write is decided by its row count;
//   - one statement a query, so that no injected second one can run.
func (u *URL) tune(given url.Values) (*URL, error) {
	p, err := readParameters(given)
	if err != nil {
		return nil, err
	}
	if !p.driver.Has("timeout") {
		p.driver.Set("timeout", connectTimeout)
	}
	// The DSN parser is the only way to the driver's unexported settings.
	cfg, err := mysql.ParseDSN("/?" + p.driver.Encode())
	if err != nil {
		// The driver's own error repeats the value.
		return nil, wrong(PartParameter, p.refused()+" has a value that it cannot have", p.fix())
	}
	cfg.User, cfg.Passwd = u.server.User, u.server.Passwd
	cfg.Net, cfg.Addr, cfg.DBName = u.server.Net, u.server.Addr, u.server.DBName
	// ParseDSN made it for a host of its own; the connector makes it for Addr.
	cfg.TLS = nil
	cfg.ParseTime = true
	cfg.Loc = time.UTC
	cfg.InterpolateParams = true
	cfg.ClientFoundRows = true
	cfg.Collation = p.collation
	cfg.Params = p.variables
	// A lost connection is an error that is returned: the driver need not print it too.
	cfg.Logger = &mysql.NopLogger{}
	if err := cfg.Apply(mysql.TimeTruncate(time.Microsecond)); err != nil {
		return nil, &Error{Part: PartParameter, Err: err}
	}
	u.server, u.files = cfg, p.files
	if err := u.checkTLS(); err != nil {
		return nil, err
	}
	return u, nil
}
