package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/authgraph/authgraph/internal/registry"
)

// RecordFile is where a project keeps what was installed into it.
const RecordFile = ".authgraph/installed.txtar"

// record is what was installed and with which text: the base of a merge.
type record struct {
	version  string
	layout   layout
	entities []string
	auth     bool
	tests    bool
	// users is the entity of the project that the users are; nil for authgraph's own.
	users *Users
	files map[string]string
	order []string
	style style
}

const recordHead = "What authgraph installed here, as it was then: authgraph upgrade merges with it. Commit it.\n\n"

func (r *record) format() []byte {
	var b strings.Builder
	b.WriteString(recordHead)
	for _, line := range [][2]string{
		{"version", r.version},
		{"db", r.layout.db},
		{"dir", r.layout.dir},
		{"migrations", r.layout.migrations},
		{"generator", yes(r.layout.generator)},
		{"entities", strings.Join(r.entities, " ")},
		{"auth", yes(r.auth)},
	} {
		fmt.Fprintln(&b, strings.TrimSpace(line[0]+" "+line[1]))
	}
	if r.layout.tool != "" {
		fmt.Fprintln(&b, "tool", r.layout.tool)
	}
	if r.tests {
		fmt.Fprintln(&b, "tests yes")
	}
	b.WriteString(r.users.line())
	b.WriteByte('\n')
	archive := txtar.Archive{Comment: []byte(b.String())}
	for _, path := range r.order {
		archive.Files = append(archive.Files, txtar.File{Name: path, Data: []byte(r.files[path])})
	}
	return r.style.stored(string(txtar.Format(&archive)))
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// readRecord returns nil if nothing was installed. The record comes with the module, so that its paths are checked.
func readRecord(p *Project) (*record, error) {
	stored, err := p.read(RecordFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseRecord(stored)
}

// UsersOf is the table that the users are in, by the record of a project in a file; nil for authgraph's own.
func UsersOf(file string) (*registry.Users, error) {
	stored, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(stored)
	if err != nil {
		return nil, err
	}
	return r.users.registered(), nil
}

func parseRecord(stored []byte) (*record, error) {
	text, style := plain(stored)
	archive := txtar.Parse([]byte(text))
	head := map[string]string{}
	for line := range strings.Lines(strings.TrimPrefix(string(archive.Comment), recordHead)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		head[key] = value
	}
	r := &record{
		version: head["version"],
		layout: layout{
			db: head["db"], dir: head["dir"], migrations: head["migrations"], generator: head["generator"] == "yes",
			tool: head["tool"],
		},
		entities: strings.Fields(head["entities"]),
		auth:     head["auth"] == "yes",
		tests:    head["tests"] == "yes",
		files:    map[string]string{},
		style:    style,
	}
	if text := head["users"]; text != "" && (json.Unmarshal([]byte(text), &r.users) != nil || !r.users.sound()) {
		return nil, badRecord("is damaged, its line of the users cannot be read")
	}
	if r.layout.db == "" || r.layout.dir == "" || r.layout.migrations == "" {
		return nil, badRecord("is damaged")
	}
	if !slices.Contains(Databases, r.layout.db) {
		return nil, badRecord(fmt.Sprintf("is damaged, it names the database %q", r.layout.db))
	}
	names := []string{r.layout.dir, r.layout.migrations}
	for _, f := range archive.Files {
		names = append(names, f.Name)
	}
	if i := slices.IndexFunc(names, func(name string) bool { return !inside(name) }); i >= 0 {
		return nil, badRecord(fmt.Sprintf("names the path %q, which is outside of this module or git's own, "+
			"and of which nothing was read or changed", names[i]))
	}
	for _, f := range archive.Files {
		r.files[f.Name] = string(f.Data)
		r.order = append(r.order, f.Name)
	}
	return r, nil
}

func badRecord(what string) error {
	return &Error{
		Path:  RecordFile,
		found: RecordFile + " " + what,
		fix:   "restore the file from git, or delete it to begin anew",
	}
}
