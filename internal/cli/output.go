package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/authgraph/authgraph/internal/english"
)

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
	fmt.Fprintln(a.info, strings.Join(parts, ", "))
}

// next says which step comes next. It is not for machines.
func (a *app) next(step string) {
	if a.format == formatText {
		fmt.Fprintln(a.info, "next:", step)
	}
}

// embedded is the name of the directory that is compiled in.
const embedded = "embedded"

// printJSON writes the one object of a command.
func (a *app) printJSON(v any) error { return writeJSON(a.stdout, v) }

// writeJSON escapes what would act on a terminal, so that it is the same JSON everywhere.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	var escaped strings.Builder
	for _, r := range b.String() {
		if !acts(r) {
			escaped.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&escaped, "\\u%04x", unit)
		}
	}
	_, err := io.WriteString(w, escaped.String())
	return err
}

// annotation is a line that GitHub shows beside the code.
func (a *app) annotation(level, file string, line int, title, text string) {
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	file, title, text = visible(file), visible(title), visible(text)
	at := "file=" + property.Replace(file)
	if line > 0 {
		at += fmt.Sprintf(",line=%d", line)
	}
	fmt.Fprintf(a.stdout, "::%s %s,title=%s::%s\n", level, at, property.Replace(title), message.Replace(text))
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
