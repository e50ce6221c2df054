package install

import "strings"

// style is how a text is stored, which git (core.autocrlf) and editors change without an edit: texts are compared and
// merged without it, and each file is written in its own.
type style struct {
	// crlf is whether most lines end as on Windows.
	crlf bool
	// mark is whether the text begins with a byte order mark, and open whether its last line does not end.
	mark, open bool
}

const byteOrderMark = "\ufeff"

// plain is a text as this project has it, and the style that it was stored in.
func plain(stored []byte) (text string, s style) {
	text, s.mark = strings.CutPrefix(string(stored), byteOrderMark)
	if n := strings.Count(text, "\r\n"); n > 0 {
		s.crlf = 2*n > strings.Count(text, "\n")
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		s.open = true
		text += "\n"
	}
	return text, s
}

// stored is a text in this style.
func (s style) stored(text string) []byte {
	if s.open {
		text = strings.TrimSuffix(text, "\n")
	}
	if s.crlf {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if s.mark {
		text = byteOrderMark + text
	}
	return []byte(text)
}
