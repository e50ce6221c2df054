package dburl

import (
	"net/url"
	"strings"

	"entgo.io/ent/dialect"
)

// Renamed is a raw address, with its password and parameters, of another database on the same server; for SQLite, of
// another file.
func Renamed(raw, name string) (string, error) {
	raw = strings.TrimSpace(raw)
	u, err := Parse(raw)
	if err != nil {
		return "", err
	}
	if u.Dialect == dialect.SQLite {
		return "sqlite://" + name, nil
	}
	rest, query, _ := strings.Cut(raw, "?")
	switch scheme, after, isURL := strings.Cut(raw, "://"); {
	case !isURL: // the driver's DSN, whose password may hold anything
		slash := strings.LastIndex(raw, "/")
		_, query, _ = strings.Cut(raw[slash:], "?")
		rest = raw[:slash+1] + name
	case strings.HasSuffix(scheme, "+unix"):
		values, err := url.ParseQuery(query)
		if err != nil {
			return "", errPairs()
		}
		values.Set("database", name)
		query = values.Encode()
	default:
		rest, _, _ = strings.Cut(after, "?")
		authority, _, _ := strings.Cut(rest, "/")
		rest = scheme + "://" + authority + "/" + url.PathEscape(name)
	}
	if query != "" {
		rest += "?" + query
	}
	return rest, nil
}
