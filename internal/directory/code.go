package directory

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
)

// reader is how a database reads comments.
type reader struct {
	// server is set for MySQL and MariaDB, which read some comments as code; SQLite skips all.
	server, maria bool
	// version is the server's, in the form of /*!80016 */; 0 if it is not known.
	version int
}

func readerOf(drv atlas.Driver) reader {
	v, ok := drv.(interface {
		Version() string
		Maria() bool
	})
	if !ok {
		return reader{}
	}
	r := reader{server: true, maria: v.Maria()}
	var major, minor, patch int
	if n, _ := fmt.Sscanf(v.Version(), "%d.%d.%d", &major, &minor, &patch); n == 3 {
		r.version = major*10000 + minor*100 + patch
	}
	return r
}

// conditional begins a comment that some servers read as code (MySQL manual, Comments; MariaDB documentation, Comment
// Syntax).
var conditional = regexp.MustCompile(`\A/\*(M?)!(\d{5,6})?`)

// runs reports whether the server reads the comment that begins with m as code.
func (r reader) runs(m []string) bool {
	if m == nil || !r.server || m[1] != "" && !r.maria {
		return false
	}
	var version int
	_, _ = fmt.Sscan(m[2], &version) // without a version every server reads it
	if r.maria && m[1] == "" && version >= 50700 && version < 100000 {
		return false // MariaDB lacks what MySQL has from 5.7 on
	}
	return version == 0 || r.version == 0 || version <= r.version
}

// read returns two texts of the same length as text. code is what the database executes: comments and strings are
// blank, and so are the marks around a comment that is read as code. In whole such a comment is one word, so that a
// scanner to which it is a comment finds the statement that it belongs to.
func (r reader) read(text []byte) (code, whole []byte) {
	code, whole = bytes.Clone(text), bytes.Clone(text)
	open := -1 // where the comment begins that is read as code
	for i, n := 0, 0; i < len(text); i += n {
		rest := text[i:]
		n = 1
		switch c := rest[0]; {
		case c == '\'' || c == '"' || c == '`':
			if n = r.quoted(rest); c == '\'' && n > 1 {
				fill(code[i+1:i+n-1], ' ')
			}
		case open >= 0 && bytes.HasPrefix(rest, []byte("*/")):
			n = 2
			fill(code[i:i+n], ' ')
			fill(whole[open:i+n], 'x')
			open = -1
		case bytes.HasPrefix(rest, []byte("/*")):
			m := conditional.FindSubmatch(rest[:min(len(rest), 16)])
			if open < 0 && m != nil && r.runs([]string{"", string(m[1]), string(m[2])}) {
				open, n = i, len(m[0])
			} else {
				n = through(rest, 2, "*/")
			}
			fill(code[i:i+n], ' ')
		case bytes.HasPrefix(rest, []byte("--")), c == '#' && r.server:
			n = through(rest, 1, "\n")
			fill(code[i:i+n], ' ')
		}
	}
	return code, whole
}

// quoted is the length of the quoted text or name at the start of s.
func (r reader) quoted(s []byte) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return i + 1
		case s[i] == '\\' && r.server && s[0] != '`':
			i++
		}
	}
	return len(s)
}

// through is the length of s up to the end of the first mark after its beginning, or of all of s.
func through(s []byte, beginning int, mark string) int {
	if i := bytes.Index(s[beginning:], []byte(mark)); i >= 0 {
		return beginning + i + len(mark)
	}
	return len(s)
}

func fill(s []byte, with byte) {
	for i := range s {
		if s[i] != '\n' || with != ' ' {
			s[i] = with
		}
	}
}

// isEmpty reports whether code holds nothing that a server executes.
func isEmpty(code string) bool { return strings.Trim(code, "; \t\r\n") == "" }
