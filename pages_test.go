package authgraph_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheReadmeShowsTheExampleThatIsRun(t *testing.T) {
	readme := read(t, "README.md")
	example := read(t, "example_test.go")

	block := goBlock.FindStringSubmatch(readme)
	require.NotNil(t, block, "README.md has no Go code")
	for line := range strings.Lines(block[1]) {
		if line = strings.TrimSpace(line); line != "" {
			assert.Contains(t, example, "\t"+line+"\n")
		}
	}
}

func TestTheReadmeShowsTheSpeedThatWasMeasured(t *testing.T) {
	cells := func(line string) []string {
		return strings.Split(strings.Trim(strings.ReplaceAll(line, "*", ""), "| "), " | ")
	}
	sessionChecks := func(page string) map[string]map[string]string {
		_, table, found := strings.Cut(read(t, page), "\n| session check | µs |")
		require.True(t, found, "%s has no table of session checks", page)
		table, _, _ = strings.Cut("session check | µs |"+table, "\n\n")
		lines := strings.Split(table, "\n")
		rows := map[string]map[string]string{}
		for _, line := range lines[2:] {
			row := cells(line)
			rows[row[0]] = map[string]string{}
			for i, name := range cells(lines[0]) {
				rows[row[0]][name] = row[i]
			}
		}
		return rows
	}
	measured := sessionChecks("docs/benchmarks.md")
	for way, row := range sessionChecks("README.md") {
		for column, value := range row {
			assert.Equal(t, measured[way][column], value, "%s, %s, is not what docs/benchmarks.md has", way, column)
		}
	}
	run := regexp.MustCompile(`(?s)<!-- comparison -->.*?\n\n!`).FindString(read(t, "docs/benchmarks.md"))
	for said, measured := range map[string]string{
		"300,000 sessions":  " 300000 sessions",
		"MySQL 9.7":         "MySQL 9.7.",
		"eight connections": " 8 connections",
		"two cores":         " 2 cores",
	} {
		assert.Contains(t, read(t, "README.md"), said)
		assert.Contains(t, run, measured)
	}
}

func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code := regexp.MustCompile("(?s)\n```.*?\n```|`[^`\n]+`")
	for _, page := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(read(t, page), ""), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			target, anchor, _ := strings.Cut(found[1], "#")
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			if _, err := os.Stat(file); !assert.NoError(t, err, "%s links to %s", page, found[1]) || anchor == "" {
				continue
			}
			assert.Contains(t, anchors(read(t, file)), anchor, "%s links to %s", page, found[1])
		}
	}
}

func TestRequirementsNameTestsThatAreThere(t *testing.T) {
	var code strings.Builder
	for _, pattern := range []string{"auth/*_test.go", "auth/authtest/*.go", "examples/*/*_test.go", "*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			code.WriteString(read(t, file))
		}
	}
	page := read(t, "docs/asvs.md")
	named := regexp.MustCompile("`(Test\\w+)`|(?m)\\| \"([^|]+)\" \\|$").FindAllStringSubmatch(page, -1)
	require.Greater(t, len(named), 40)
	for _, name := range named {
		want := "func " + name[1] + "("
		if name[2] != "" {
			want = fmt.Sprintf("name: %q", name[2])
		}
		assert.Contains(t, code.String(), want, "docs/asvs.md names it")
	}
}

// requirements are how many of each section OWASP ASVS 5.0.0 has at levels 1 and 2 in the chapters of docs/asvs.md.
// They are the first ones of their section.
var requirements = map[string]int{
	"6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
	"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
	"11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1,
	"14.1": 2, "14.2": 4, "14.3": 3,
}

func TestEveryRequirementOfTheChaptersHasARow(t *testing.T) {
	want, got := []string{}, []string{}
	for section, n := range requirements {
		for i := range n {
			want = append(want, fmt.Sprintf("%s.%d", section, i+1))
		}
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+\.\d+)\.(\d+)(?: to \d+\.\d+\.(\d+))? \|`)
	for _, row := range rows.FindAllStringSubmatch(read(t, "docs/asvs.md"), -1) {
		first, err := strconv.Atoi(row[2])
		require.NoError(t, err)
		last, err := strconv.Atoi(cmp.Or(row[3], row[2]))
		require.NoError(t, err)
		for i := first; i <= last; i++ {
			got = append(got, fmt.Sprintf("%s.%d", row[1], i))
		}
	}
	assert.ElementsMatch(t, want, got)
}

// anchors are those that GitHub gives the headings of a page.
func anchors(page string) (names []string) {
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := dropped.ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func TestDocumentsNameWhatCanBeMade(t *testing.T) {
	makefile := read(t, "Makefile")
	target := regexp.MustCompile("(?m)(?:`|^\\$ )make ([a-z-]+)")
	for _, page := range pages(t) {
		for _, found := range target.FindAllStringSubmatch(read(t, page), -1) {
			assert.Regexp(t, `(?m)^`+found[1]+`:`, makefile, "%s says make %s", page, found[1])
		}
	}
}

const module = "github.com/authgraph/authgraph/"

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// around is the function that a part of one stands in on a page: it has what the page takes as given.
const around = `package page

import (
	"context"
	"encoding/base64"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/migrate"
)

func _(ctx context.Context, client *ent.Client, key []byte, url, email, password, ip, agent string,
	svc *auth.Service, r *http.Request, cookie *http.Cookie, in struct{ Ticket, Code string },
) {
	{
%s
	}
}
`

func TestTheGoInDocumentsCompiles(t *testing.T) {
	list := osexec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}",
		".", "./auth", "./ent/runtime", "./migrate")
	out, err := list.Output()
	require.NoError(t, err)
	compiled := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		compiled[name] = file
	}
	files := token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(compiled[path])
	})
	for _, page := range pages(t) {
		for n, block := range goBlock.FindAllStringSubmatch(read(t, page), -1) {
			text := fmt.Sprintf(around, block[1])
			if strings.HasPrefix(block[1], "import ") {
				text = "package page\n" + strings.ReplaceAll(block[1], "example.com/app/", module)
			}
			file, err := parser.ParseFile(files, fmt.Sprintf("%s, block %d", page, n+1), text, 0)
			require.NoError(t, err)
			config := types.Config{Importer: imports, Error: func(err error) {
				// A part of a function need not use what it makes.
				if !strings.Contains(err.Error(), "and not used") {
					assert.NoError(t, err, "in\n%s", text)
				}
			}}
			_, _ = config.Check("page", files, []*ast.File{file}, nil) // Error has heard of every error
		}
	}
}

// pages are all pages of the repository.
func pages(t *testing.T) (files []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (entry.Name()[0] == '.' || entry.Name() == "testdata"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			files = append(files, filepath.ToSlash(path))
		}
		return nil
	}))
	require.NotEmpty(t, files)
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}
