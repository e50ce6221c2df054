package install

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/authgraph/authgraph/internal/directory"
)

// Tools are the migration tools, beside Atlas, that a migration is written for.
var Tools = []string{"goose", "golang-migrate", "dbmate", "sql-migrate"}

// tool is another migration tool, and the folder of its files.
type tool struct{ name, folder string }

// toolOf is the tool that a file of SQL is written for; empty if it is none of Tools.
func toolOf(name, text string) string {
	if strings.HasSuffix(name, ".up.sql") {
		return "golang-migrate"
	}
	if of := directory.ToolOf(text); slices.Contains(Tools, of) {
		return of
	}
	return ""
}

// parseTool reads a value of [Options.Tool]: the name of a tool, and after an equals sign a folder.
func parseTool(value string) (t tool, err error) {
	name, folder, named := strings.Cut(value, "=")
	if !slices.Contains(Tools, name) || named && !inside(path.Clean(folder)) {
		return t, &Error{
			Reason: UnknownTool,
			found:  fmt.Sprintf("%q is no migration tool with a folder inside the module", value),
			fix:    "use one of " + strings.Join(Tools, ", ") + ", or NAME=FOLDER",
		}
	}
	if named {
		folder = path.Clean(folder)
	}
	return tool{name, folder}, nil
}

// chooseTool finds the migration tool of the project, and where its files are: as named, else where they lie. It is
// none where Atlas's files are, or no files at all.
func (f found) chooseTool(value, db string) (t tool, err error) {
	if value != "" {
		if t, err = parseTool(value); err != nil || t.folder != "" {
			return t, err
		}
	} else if len(f.sums) > 0 {
		return t, nil
	}
	var all []tool
	for _, at := range f.tools {
		if t.name == "" || at.name == t.name {
			all = append(all, at)
		}
	}
	if len(all) > 1 { // one for each database, as often as not
		others := slices.DeleteFunc(slices.Clone(all), func(at tool) bool {
			return !strings.Contains(strings.ToLower(at.folder), strings.TrimSuffix(db, "3"))
		})
		if len(others) == 1 {
			all = others
		}
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(all) > 1:
		var where []string
		for _, at := range all {
			where = append(where, at.folder+" ("+at.name+")")
		}
		return t, &Error{
			Reason: SeveralTools,
			Path:   all[0].name + "=" + all[0].folder,
			found:  "there are migrations in " + strings.Join(where, " and "),
			fix:    "name the folder of the one to go on with",
		}
	case t.name != "":
		return t, &Error{
			Reason: SeveralTools,
			Path:   t.name + "=db/migrations",
			found:  "there are no migrations of " + t.name,
			fix:    "name the folder that they are to go to",
		}
	}
	return t, nil
}

// versioned is the number that a file of migrations begins with.
var versioned = regexp.MustCompile(`^(\d+)([_-])`)

// files are the migration in the form of the tool, by path: after the newest of those in the folder, as they are
// counted there.
func (t tool) files(names []string, name, up, down string, now time.Time) (all map[string]string, first string) {
	last, between := "", "_"
	for _, n := range names {
		m := versioned.FindStringSubmatch(n)
		if m != nil && (len(m[1]) > len(last) || len(m[1]) == len(last) && m[1] > last) {
			last, between = m[1], m[2]
		}
	}
	const layout = "20060102150405"
	version := now.UTC().Format(layout)
	switch n, err := strconv.Atoi(last); {
	case last == "" && t.name == "sql-migrate":
		between = "-"
	case err == nil && (len(last) < len(layout) || last >= version):
		version = fmt.Sprintf("%0*d", len(last), n+1)
	}
	stem := path.Join(t.folder, version+between+name)
	switch t.name {
	case "golang-migrate":
		return map[string]string{stem + ".up.sql": up, stem + ".down.sql": down}, stem + ".up.sql"
	case "dbmate":
		up, down = "-- migrate:up\n"+up, "-- migrate:down\n"+down
	case "sql-migrate":
		up, down = "-- +migrate Up\n"+up, "-- +migrate Down\n"+down
	default:
		up, down = "-- +goose Up\n"+up, "-- +goose Down\n"+down
	}
	return map[string]string{stem + ".sql": up + "\n" + down}, stem + ".sql"
}
