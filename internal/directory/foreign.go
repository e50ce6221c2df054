package directory

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
)

// NotForeign is an error for a directory that another tool wrote. By Atlas's rules the statements that undo a migration
// would run as a part of it, and the files in another order.
func NotForeign(dir Dir) error {
	files, err := dir.Files()
	if err != nil {
		return Wrap(dir, err)
	}
	names := make(map[string]bool, len(files))
	for _, f := range files {
		names[strings.ToLower(f.Name())] = true
	}
	for _, f := range files {
		tool := byName(f.Name(), names)
		if tool == "" {
			tool = ToolOf(string(f.Bytes()))
		}
		if tool != "" {
			return toolError(dir, f.Name(), tool)
		}
	}
	entries, _ := fs.ReadDir(dir, ".") // a directory in memory has no list
	for _, e := range entries {
		if ext := path.Ext(e.Name()); ext != ".sql" && strings.EqualFold(ext, ".sql") && !e.IsDir() {
			return &Error{
				Path: PathOf(dir), Err: fmt.Errorf("%s would not be run, as its name does not end in .sql", e.Name()),
				fix: "rename it, or take it out",
			}
		}
	}
	if name := "meta/_journal.json"; holds(dir, name) {
		return toolError(dir, name, "Drizzle")
	}
	if len(files) > 0 {
		return nil
	}
	for _, e := range entries {
		name, tool := inFolder(dir, e)
		if tool == "" {
			name, tool = e.Name(), noSQL[path.Ext(e.Name())]
		}
		if tool != "" {
			return toolError(dir, name, tool)
		}
	}
	return nil
}

func holds(dir Dir, name string) bool {
	f, err := dir.Open(name)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// toolError says what to do with the directory of another tool.
func toolError(dir Dir, name, tool string) error {
	problem, fix := ProblemRewrite, "write the statements that go forward into a directory of their own"
	if format, known := imports[tool]; known && PathOf(dir) != InMemory {
		problem = ""
		quoted := strings.ReplaceAll(PathOf(dir), "'", `'\''`) // for a shell
		fix = fmt.Sprintf("convert the directory with: "+
			"atlas migrate import --from 'file://%s?format=%s' --to 'file://%[1]s-atlas'", quoted, format)
	}
	return &Error{
		Path: PathOf(dir), Problem: problem,
		Err: fmt.Errorf("%s is a file of %s, which authgraph does not read", name, tool), fix: fix,
	}
}

// imports are the tools whose directories the Atlas CLI converts, and what it calls them
// (https://atlasgo.io/versioned/import).
var imports = map[string]string{
	"goose": "goose", "dbmate": "dbmate", "golang-migrate": "golang-migrate",
	"Flyway": "flyway", "Liquibase": "liquibase",
}

// noSQL are the tools whose migrations are programs or documents. They count only in a directory without SQL.
var noSQL = map[string]string{
	".rb": "Rails", ".php": "Laravel, Doctrine or Phinx", ".py": "Alembic or Django",
	".js": "Knex, Sequelize or TypeORM", ".ts": "Knex, Sequelize or TypeORM", ".cs": "Entity Framework",
	".xml": "Liquibase's XML", ".yaml": "Liquibase's YAML", ".yml": "Liquibase's YAML",
	".exs": "Ecto", ".prisma": "Prisma",
}

var (
	// flyway names versioned, undo, baseline and repeatable migrations.
	flyway = regexp.MustCompile(`^([VUB]\d[\d._]*|R)__.*\.sql$`)
	// backward is a file beside the one that it undoes: its name says so in a word.
	backward = regexp.MustCompile(`(?i)(^|[._-])(down|undo|rollback|revert)([._-])`)
	// forward are the words of the other one; some tools have none.
	forward = []string{"up", "do", "deploy", ""}
)

// byName is the tool that gives its files such names, or "". The keys of all are in small letters.
func byName(name string, all map[string]bool) string {
	if flyway.MatchString(name) {
		return "Flyway"
	}
	if strings.HasSuffix(strings.ToLower(name), ".down.sql") {
		return "golang-migrate"
	}
	m := backward.FindStringSubmatchIndex(name)
	if m == nil {
		return ""
	}
	for _, word := range forward {
		begin, end := name[:m[4]], name[m[5]:]
		if word == "" {
			begin = name[:m[2]]
		}
		if all[strings.ToLower(begin+word+end)] {
			return "a tool that keeps what undoes a migration beside it"
		}
	}
	return ""
}

// first are the marks that a tool needs before the first statement of a file.
var first = []struct {
	tool string
	mark *regexp.Regexp
}{
	{"goose", regexp.MustCompile(`(?i)^--\s*\+goose\s+(up|down|no transaction|statementbegin|envsub)\b`)},
	{"sql-migrate", regexp.MustCompile(`(?i)^--\s*\+migrate\s+(up|down)\b`)},
	{"a tool of the kind of goose", regexp.MustCompile(`(?i)^--\s*\+\w+\s+(up|down)\s*$`)},
	{"dbmate", regexp.MustCompile(`^--\s*migrate:(up|down)(\s|$)`)},
	{"Liquibase", regexp.MustCompile(`(?i)^--\s*liquibase\s+formatted\s+sql\b`)},
	{"rambler", regexp.MustCompile(`^--\s*rambler\s+(up|down)\s*$`)},
	{"Play", regexp.MustCompile(`^(#|--)\s*---\s*!(Ups|Downs)\s*$`)},
}

// between are the marks between the statements that go forward and those that go back.
var between = []struct {
	tool string
	mark *regexp.Regexp
}{
	{"tern", regexp.MustCompile(`(?m)^---- create above / drop below ----\s*$`)},
	{"MyBatis", regexp.MustCompile(`(?im)^--\s*//\s*@UNDO\s*$`)},
}

// Some tools mark the two parts of a file with a word: -- Up, -- Down.
var (
	ups   = regexp.MustCompile(`(?i)^(--|#)[-/@!: \t]*up[-: \t]*$`)
	downs = regexp.MustCompile(`(?im)^[ \t]*(--|#)[-/@!: \t]*(down|undo|rollback)[-: \t\r]*$`)
)

var blockComment = regexp.MustCompile(`(?s)/\*.*?\*/`)

// ToolOf is the tool whose marks the text of a file holds outside of statements, or "". A mark among other words of a
// comment does not count.
func ToolOf(text string) string {
	text = strings.TrimPrefix(text, "\ufeff")
	parts := false
	for line := range strings.Lines(blockComment.ReplaceAllString(text, "")) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "--") && !strings.HasPrefix(line, "#") {
			break
		}
		for _, m := range first {
			if m.mark.MatchString(line) {
				return m.tool
			}
		}
		parts = parts || ups.MatchString(line)
	}
	if parts && downs.MatchString(outside(text)) {
		return "a tool that keeps what undoes a migration in the same file"
	}
	for _, m := range between {
		if m.mark.MatchString(text) && m.mark.MatchString(outside(text)) {
			return m.tool
		}
	}
	return ""
}

// outside is the part of a text that is in no statement and no block comment.
func outside(text string) string {
	stmts, err := atlas.Stmts(text)
	if err != nil {
		return "" // it is refused as it is
	}
	var b strings.Builder
	at := 0
	for _, s := range stmts {
		b.WriteString(text[at:max(at, s.Pos)])
		at = max(at, min(len(text), s.Pos+len(s.Text)))
	}
	b.WriteString(text[at:])
	return blockComment.ReplaceAllString(b.String(), "")
}

// inFolder is the file of a tool that makes a folder for each migration.
func inFolder(dir Dir, e fs.DirEntry) (name, tool string) {
	if !e.IsDir() {
		return "", ""
	}
	for _, in := range []struct{ file, tool string }{
		{"snapshot.json", "Drizzle"}, {"migration.sql", "Prisma"}, {"up.sql", "Diesel"},
	} {
		if name := path.Join(e.Name(), in.file); holds(dir, name) {
			return name, in.tool
		}
	}
	return "", ""
}
