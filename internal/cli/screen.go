package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is standard output or standard error, and everything that the program prints goes through one of the two. A
// terminal gets no character that would act on it: names, comments, files and a server's texts may hold such
// characters, which rewrite lines, colour them or turn them around. A file or a pipe gets every byte as it is.
//
// It keeps the first error, which [Run] reports, so that what prints need not.
type screen struct {
	w                io.Writer
	terminal, colour bool
	// workflow is set where GitHub reads along: to it ##[ begins a command anywhere in a line.
	workflow bool
	// rest is what was written of a character, or of the end of a line, that the next write completes.
	rest []byte
	// inexact is whether something was shown in place of a character.
	inexact bool
	err     error
}

func newScreen(w io.Writer) *screen {
	f, ok := w.(*os.File)
	s := &screen{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
	// The console of older Windows shows the codes of colours as text.
	s.colour = s.rewrites() && os.Getenv("NO_COLOR") == "" && runtime.GOOS != "windows"
	return s
}

// rewrites reports whether a line can be written over, as a bar is.
func (s *screen) rewrites() bool { return s.terminal && os.Getenv("TERM") != "dumb" }

func (s *screen) Write(b []byte) (int, error) {
	if s.workflow {
		return len(b), s.send(bytes.ReplaceAll(b, []byte("##["), []byte("## [")))
	}
	if !s.terminal {
		return len(b), s.send(b)
	}
	text := append(s.rest, b...)
	n := unfinished(text)
	shown := visible(string(text[:len(text)-n]))
	s.rest = bytes.Clone(text[len(text)-n:])
	s.inexact = s.inexact || shown != string(text[:len(text)-n])
	return len(b), s.send([]byte(shown))
}

// send writes bytes as they are.
func (s *screen) send(b []byte) error {
	_, err := s.w.Write(b)
	s.err = cmp.Or(s.err, err)
	return err
}

// flush shows what no further write completes.
func (s *screen) flush() {
	if len(s.rest) > 0 {
		s.inexact = true
		_ = s.send([]byte(visible(string(s.rest)))) // the screen keeps its error
		s.rest = nil
	}
}

// over writes to the screen what goes back to the begin of the line, as a bar does. Texts from elsewhere go through
// visible first.
type over struct{ *screen }

func (o over) Write(b []byte) (int, error) { return len(b), o.send(b) }

// unfinished is the length of the end of a text that means nothing without what follows.
func unfinished(text []byte) int {
	if n := len(text); n > 0 && text[n-1] == '\r' {
		return 1
	}
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// visible shows each character that acts on a terminal, or that nobody sees there, by its number. Tabs and the ends of
// lines stay.
func visible(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, acts) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1: // to a terminal of eight bits it may be a control character
			fmt.Fprintf(&b, "<%02X>", text[i])
		case r == '\r' && strings.HasPrefix(text[i:], "\r\n"), !acts(r):
			b.WriteString(text[i : i+size])
		default:
			fmt.Fprintf(&b, "<U+%04X>", r)
		}
	}
	return b.String()
}

// acts reports whether a character acts on a terminal or is not seen there.
func acts(r rune) bool {
	switch r {
	case '\n', '\t':
		return false
	case '\u115f', '\u1160', '\u3164', '\uffa0': // the letters of Hangul that are blank
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// style is how a word is set off from those around it.
type style string

const (
	asIs   style = ""
	bold   style = "1"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// paint writes a text in a style, where the screen has any.
func (s *screen) paint(st style, text string) {
	if !s.colour || st == asIs {
		fmt.Fprint(s, text)
		return
	}
	s.flush()
	_ = s.send([]byte("\x1b[" + string(st) + "m")) // the screen keeps its error
	fmt.Fprint(s, text)
	s.flush()
	_ = s.send([]byte("\x1b[0m"))
}

// paintWords writes lines of which the first word has a style.
func (s *screen) paintWords(lines string, of func(word string) style) {
	for line := range strings.Lines(lines) {
		word := line
		if i := strings.IndexAny(line, " \n"); i >= 0 {
			word = line[:i]
		}
		s.paint(of(word), word)
		fmt.Fprint(s, line[len(word):])
	}
}

// verdictStyle is that of the verdict of a finding; the others are of no concern.
func verdictStyle(verdict string) style {
	switch verdict {
	case "error", "fail":
		return red
	case "warning", "warn":
		return yellow
	case "ok":
		return green
	}
	return asIs
}

// paintDiff writes a unified diff.
func (s *screen) paintDiff(diff string) {
	for line := range strings.Lines(diff) {
		text := strings.TrimRight(line, "\r\n")
		switch line[0] {
		case '+':
			s.paint(green, text)
		case '-':
			s.paint(red, text)
		default:
			s.paint(asIs, text)
		}
		fmt.Fprint(s, line[len(text):])
	}
}
