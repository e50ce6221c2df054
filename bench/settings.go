package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// settings are what the flags say.
type settings struct {
	command     []string
	url         string
	doc         string
	section     string // of doc
	rows        []int
	connections int
	rounds      int
	round       time.Duration
	pool        string
	readers     int
	batch       int
	limits      []int
	ioCapacity  int
	expired     int
	part        time.Duration
	rate        int
	atlas       string
	only        string
}

// parse reads the arguments; the defaults are those of the command that comes first.
func parse(args []string) (*settings, error) {
	s := &settings{command: args, section: args[0]}
	name := args[0]
	flags := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	flags.StringVar(&s.url, "url", "",
		"a MySQL server to use, as mysql://user:password@host:3306/, instead of one of its own")
	flags.StringVar(&s.doc, "doc", "../docs/benchmarks.md", "the `file` whose section is written")
	rows := map[string]string{"compare": "300k", "growth": "10k,100k,1M", "purge": "1M"}[name]
	rounds := 15
	switch name {
	case "compare":
		flags.IntVar(&s.connections, "connections", 8, "connections, and requests at once")
		flags.StringVar(&s.only, "only", "", "only the peers whose name contains this, and the reference")
	case "growth":
		flags.IntVar(&s.connections, "connections", 8, "connections, and requests at once")
	case "purge":
		flags.IntVar(&s.readers, "readers", 8, "readers, each with a connection")
		flags.IntVar(&s.rate, "rate", 1000, "session checks a second, of all readers together")
		flags.IntVar(&s.batch, "batch", 0, "rows a statement deletes; default that of auth.PurgeOptions")
		s.limits = []int{21_000, 5000}
		flags.Func("limits", "PurgeOptions.Rate of the parts at a fixed rate, `numbers` with commas between (default "+
			"21000,5000)", func(text string) (err error) {
			s.limits = nil
			for number := range strings.SplitSeq(text, ",") {
				n, err := strconv.Atoi(number)
				if err != nil || n <= 0 {
					return fmt.Errorf("%q is no rate", number)
				}
				s.limits = append(s.limits, n)
			}
			return nil
		})
		flags.IntVar(&s.expired, "expired", 0,
			"how many sessions, tokens and codes in a hundred have ended; default 25, and 90 below 5M rows")
		flags.DurationVar(&s.part, "part", 4*time.Second, "how long each part takes")
		flags.IntVar(&s.ioCapacity, "io-capacity", 200, "innodb_io_capacity of its own server while it is measured")
		flags.StringVar(&s.section, "section", s.section, "the `name` of the section of the file that is written")
		rounds = 6
	case "migrations":
		flags.StringVar(&s.atlas, "atlas", "atlas", "the Atlas CLI, by path or as found on PATH")
		rounds = 20
	}
	if rows != "" {
		flags.StringVar(&rows, "rows", rows,
			"sessions to load, such as 300k or 10M"+map[bool]string{true: ", and further sizes " +
				"after commas"}[name == "growth"])
		flags.StringVar(&s.pool, "buffer-pool", "", "innodb_buffer_pool_size of its own server; default by rows")
	}
	if rounds > 0 {
		flags.IntVar(&s.rounds, "rounds", rounds, "rounds or parts, over which the median is taken")
	}
	if name == "compare" || name == "growth" {
		flags.DurationVar(&s.round, "round", 300*time.Millisecond, "how long a round of one peer takes")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	for text := range strings.SplitSeq(rows, ",") {
		if text == "" {
			continue
		}
		n, err := count(text)
		if err != nil {
			return nil, err
		}
		s.rows = append(s.rows, n)
	}
	if name == "purge" && s.expired == 0 {
		if s.expired = 25; s.rows[0] < 5_000_000 {
			s.expired = 90
		}
	}
	if len(s.rows) > 1 && name != "growth" {
		return nil, fmt.Errorf("%s works on one size", name)
	}
	return s, nil
}

// count reads 10000, 10k or 10M.
func count(text string) (int, error) {
	digits := strings.TrimRight(text, "kM")
	n, err := strconv.Atoi(digits)
	factor, ok := map[string]int{"": 1, "k": 1000, "M": 1_000_000}[text[len(digits):]]
	if err != nil || !ok || n*factor < 1000 {
		return 0, fmt.Errorf("%q is not a number of rows from 1k on, such as 300k or 10M", text)
	}
	return n * factor, nil
}

// short is a number of rows as count reads it.
func short(n int) string {
	switch {
	case n%1_000_000 == 0:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	}
	return strconv.Itoa(n)
}
