package adopt_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/drizzletest"
)

// inNode answers each line, an address as JSON, with what the expression in its argument makes of it.
const inNode = `
const normalize = new Function("email", "return " + process.argv[1]);
const input = require("node:readline").createInterface({ input: process.stdin });
let answers = [];
const flush = () => { process.stdout.write(answers.join("")); answers = []; };
input.on("line", (line) => {
  answers.push(JSON.stringify(normalize(JSON.parse(line))) + "\n");
  if (answers.length === 10000) flush();
});
input.on("close", flush);
`

// A Drizzle service and this schema find each other's accounts only if they write an address alike.
func TestTheLineOfJavaScriptNormalisesAddressesAsTheSchemaDoes(t *testing.T) {
	t.Parallel()
	drizzletest.LeaveOut(t)
	page, err := os.ReadFile("../../docs/adopt.md")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^ *(email\.trim.*)$`).FindSubmatch(page)
	require.NotNil(t, line, "docs/adopt.md has no line of JavaScript")
	texts := spellings()
	different := 0
	eachInNode(t, string(line[1]), texts, func(i int, got string) {
		want := schematype.NormalizeEmail(texts[i])
		if got == want {
			return
		}
		if different++; different < 10 {
			assert.Equal(t, want, got, "%+q", texts[i])
		}
	})
	assert.Zero(t, different)
}

// spellings are texts with each character in the places where another one may decide what becomes of it: at the ends,
// in and after words, beside marks and beside itself. Characters that are not assigned are left out, as addresses with
// them are refused: Node may know a later version of Unicode, in which they are.
func spellings() (texts []string) {
	marks := composing()
	for r := range unicode.MaxRune + 1 {
		if !unicode.IsGraphic(r) && !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) {
			continue
		}
		c := string(r)
		texts = append(texts, strings.Join([]string{"", "a", "", "Σ", " Σ", "Σ", "A\u0301", "\u0323\u0307", "Ï", "I",
			"h",
			"aΣ", "@Σ", ""}, c))
		if unicode.ToLower(r) != r || unicode.ToUpper(r) != r {
			for _, mark := range marks {
				texts = append(texts, c+string(mark)+"Σ"+c+string(mark))
			}
		}
	}
	return texts
}

// composing are the characters that compose with one before them.
func composing() (marks []rune) {
	seen := map[rune]bool{}
	for r := range unicode.MaxRune + 1 {
		for i, part := range []rune(norm.NFD.String(string(r))) {
			if i > 0 && !seen[part] {
				seen[part] = true
				marks = append(marks, part)
			}
		}
	}
	return marks
}

func eachInNode(t *testing.T, expression string, texts []string, with func(i int, answer string)) {
	t.Helper()
	node, err := exec.LookPath("node")
	require.NoError(t, err, "install Node.js 20 or later, or leave out what needs it with %s=1", drizzletest.WithoutNPM)
	cmd := exec.CommandContext(t.Context(), node, "-e", inNode, expression)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	sent := make(chan error, 1)
	go func() {
		w := bufio.NewWriter(in)
		lines := json.NewEncoder(w)
		var err error
		for _, text := range texts {
			if err = lines.Encode(text); err != nil {
				break
			}
		}
		_ = w.Flush() // it fails only after an error of lines, or with one of in
		_ = in.Close()
		sent <- err
	}()
	answers := json.NewDecoder(out)
	for i := range texts {
		var answer string
		require.NoError(t, answers.Decode(&answer))
		with(i, answer)
	}
	require.NoError(t, <-sent)
	require.NoError(t, cmd.Wait())
}
