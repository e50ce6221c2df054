// Package doctor checks a live database that the tables of the auth graph live in, or are to live in: the server, the
// tables and the rows. It finds and says what to do; it changes nothing. The transactions it reads in are read-only, so
// the database itself would refuse a write; the one thing it makes is the scratch database in which migrations are
// replayed.
//
//	findings, err := doctor.Run(ctx, url, doctor.Options{})
//
// The checks stand in [checks], each in the file that is named after what it looks at.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/registry"
)

// Severity is how much a finding matters.
type Severity string

// The severities, gravest first.
const (
	// Error is what is wrong, or will be soon.
	Error Severity = "error"
	// Warning is what can go wrong, and what could not be checked.
	Warning Severity = "warning"
	// Info is what one should know and may have decided.
	Info Severity = "info"
	// OK is what was looked at and found right.
	OK Severity = "ok"
)

var severities = []Severity{Error, Warning, Info, OK}

// Finding is what one check found.
type Finding struct {
	// Code is the name of the check; it stays the same.
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Text is what was found, in one line. It holds no secret and no address of a user.
	Text string `json:"text"`
	// Fix is what to do, often a command or a statement.
	Fix string `json:"fix,omitempty"`
	// Unchecked is set where the check could not be made; Text says why.
	Unchecked bool `json:"unchecked,omitempty"`
	// Err is the error that was found, if the finding is one of a library.
	Err error `json:"-"`
}

// Options configure [Run].
type Options struct {
	// Dir is the migration directory; nil is the embedded one.
	Dir directory.Dir
	// Unversioned is set for a project that has none, because its program or another tool makes the tables.
	Unversioned bool
	// RevisionsSchema is the schema that holds the history, as in migrate.ApplyOptions.
	RevisionsSchema string
	// Dev opens the empty database in which it is replayed; default
	// [planner.Scratch] beside the database that is checked.
	Dev func(context.Context) (*planner.Dev, error)
	// Users is the table of the project that the users are in; nil for authgraph's own.
	Users *registry.Users
	// Config is that of the services on the database, without keys. Its Clock is this machine's.
	Config auth.Config
	// Connections is how many the services open together; default 25, the pool of one process.
	Connections int
	// Timeout ends a check, and on a server each of its statements; default 30 s.
	Timeout time.Duration
	// Command is how a fix names a command of authgraph, such as migrate apply, with the
	// flags that the command needs; default authgraph and the name.
	Command func(name string) string
	// Progress, if set, is called before every check.
	Progress func(code string, n, total int)
}

// check is one thing that is looked at.
type check struct {
	code string
	// engine is the dialect it is for; empty for all.
	engine string
	// tables is set if there is nothing to look at before there are tables.
	tables bool
	// about, advice and source are its row in docs/doctor.md.
	about, advice, source string
	run                   func(context.Context, *database) ([]Finding, error)
}

// Run checks the database at rawURL and returns what it found, gravest first. The error is one of reaching the
// database, or that of ctx: a check that fails is a finding.
func Run(ctx context.Context, rawURL string, opts Options) ([]Finding, error) {
	opts.complete()
	d, err := open(ctx, rawURL, opts)
	if err != nil {
		return nil, err
	}
	defer d.db.Close()
	var todo []check
	for _, c := range checks {
		if (c.engine == "" || c.engine == d.url.Dialect) && !(c.tables && len(d.tables) == 0) {
			todo = append(todo, c)
		}
	}
	var found []Finding
	for i, c := range todo {
		opts.Progress(c.code, i+1, len(todo))
		found = append(found, d.check(ctx, c)...)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("check %s: %w", c.code, ctx.Err())
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return slices.Index(severities, a.Severity) - slices.Index(severities, b.Severity)
	})
	return found, nil
}

// complete sets what was left out.
func (o *Options) complete() {
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Connections = cmp.Or(o.Connections, 25)
	if o.Config.Clock == nil {
		o.Config.Clock = time.Now
	}
	if o.Command == nil {
		o.Command = func(name string) string { return "authgraph " + name }
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
}

// check makes one check. That it fails is a finding, too.
func (d *database) check(ctx context.Context, c check) []Finding {
	within, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	found, err := c.run(within, d)
	if err != nil {
		found = append(found, d.unchecked(within, err))
	}
	for i := range found {
		found[i].Code = c.code
	}
	return found
}

// Server errors that say why a check could not be made (MySQL and MariaDB, Server Error Message Reference).
const (
	erTableAccessDenied    = 1142
	erSpecificAccessDenied = 1227
	erQueryInterrupted     = 1317
	erStatementTimeout     = 1969 // MariaDB
	erQueryTimeout         = 3024 // MySQL
)

func (d *database) unchecked(ctx context.Context, err error) Finding {
	why, fix := err.Error(), ""
	var known remedied
	stopped := slices.Contains([]uint16{erStatementTimeout, erQueryTimeout, erQueryInterrupted}, serverError(err))
	switch {
	case stopped || errors.Is(ctx.Err(), context.DeadlineExceeded):
		why = fmt.Sprintf("it took longer than %s", d.Timeout)
		fix = "give it more time with --timeout, or look at an hour with less traffic"
	case errors.As(err, &known):
		why, fix = known.Found(), known.Fix()
	}
	return Finding{Severity: Warning, Text: "could not be checked: " + why, Fix: fix, Unchecked: true, Err: err}
}

// found makes a finding.
func found(s Severity, fix, format string, args ...any) Finding {
	return Finding{Severity: s, Text: fmt.Sprintf(format, args...), Fix: fix}
}

// remedied is an error that says apart what was found and what to do about it.
type remedied interface {
	error
	Found() string
	Fix() string
}

// foundIn makes the finding of such an error.
func foundIn(err remedied) Finding {
	return Finding{Severity: Error, Text: err.Found(), Fix: err.Fix(), Err: err}
}

// ok makes the finding of a check that found nothing wrong.
func ok(format string, args ...any) []Finding { return []Finding{found(OK, "", format, args...)} }
