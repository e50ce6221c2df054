package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/authgraph/authgraph/internal/english"
)

// output is standard output. It keeps the first error, which [Run] reports, so that what prints need not.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// source is what a result was made from; it is part of every JSON object.
type source struct {
	Database  string `json:"database,omitempty"`
	Directory string `json:"directory,omitempty"`
	// Schema is the desired one, if the command has one.
	Schema string `json:"schema,omitempty"`
}

// announce names the database and the directory, in one line and in every format, before the work begins.
func (a *app) announce(s source) {
	var parts []string
	switch {
	case s.Database == "":
	case strings.HasPrefix(s.Database, "scratch "):
		parts = append(parts, s.Database)
	default:
		parts = append(parts, "database "+s.Database)
	}
	switch s.Directory {
	case "":
	case embedded:
		parts = append(parts, "migrations embedded in this program")
	default:
		parts = append(parts, "migrations in "+s.Directory)
	}
	if s.Schema != "" {
		parts = append(parts, "schema "+strings.TrimSuffix(s.Schema, " schema"))
	}
	fmt.Fprintln(a.stderr, strings.Join(parts, ", "))
}

// embedded is the name of the directory that is compiled in.
const embedded = "embedded"

// printJSON writes the one object of a command.
func (a *app) printJSON(v any) error { return writeJSON(a.stdout, v) }

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// annotation is a line that GitHub shows beside the code.
func (a *app) annotation(level, file string, line int, title, text string) {
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	at := "file=" + property.Replace(file)
	if line > 0 {
		at += fmt.Sprintf(",line=%d", line)
	}
	fmt.Fprintf(a.stdout, "::%s %s,title=%s::%s\n", level, at, property.Replace(title), message.Replace(text))
}

// isTerminal reports whether w is a terminal on which a line can be rewritten.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// problems counts what was found, as in "1 error, 2 warnings".
func problems(errs, warnings int) string {
	var found []string
	if errs > 0 {
		found = append(found, english.Count(errs, "error"))
	}
	if warnings > 0 {
		found = append(found, english.Count(warnings, "warning"))
	}
	return cmp.Or(strings.Join(found, ", "), "no problems")
}

// short rounds a duration to what a reader wants to know.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}

func indent(prefix, text string) string {
	return prefix + strings.ReplaceAll(text, "\n", "\n"+prefix)
}
