package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

const day = 24 * time.Hour

// withDays matches a duration that begins with weeks or days, and 30 days, as reports write it.
var withDays = regexp.MustCompile(`^(?:(\d+)w)?(?:(\d+)(?:d| days?$))?(.*)$`)

var errDuration = errors.New("it must be a duration, as in 30s, 12h or 30d")

// parseDuration reads what [time.ParseDuration] reads, and before it weeks (w) and days (d) of 24 hours.
func parseDuration(text string) (time.Duration, error) {
	m := withDays.FindStringSubmatch(text)
	if m == nil || m[1]+m[2] == "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, errDuration
		}
		return d, nil
	}
	rest, err := time.ParseDuration(cmp.Or(m[3], "0"))
	if err != nil || rest < 0 || strings.HasPrefix(m[3], "+") {
		return 0, errDuration
	}
	const most = uint64(math.MaxInt64 / day)
	weeks, werr := strconv.ParseUint(cmp.Or(m[1], "0"), 10, 32)
	days, derr := strconv.ParseUint(cmp.Or(m[2], "0"), 10, 32)
	if days += 7 * weeks; werr != nil || derr != nil || days > most || rest > math.MaxInt64-time.Duration(days)*day {
		return 0, errors.New("it must be less than 292 years")
	}
	return time.Duration(days)*day + rest, nil
}

// formatDuration writes a duration as parseDuration reads it and a reader likes it: 30d, 15m.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	if d%day == 0 && d > day {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// durationValue is the value of a flag.
type durationValue time.Duration

func (v *durationValue) Set(text string) error {
	d, err := parseDuration(text)
	*v = durationValue(d)
	return err
}

func (v *durationValue) String() string { return formatDuration(time.Duration(*v)) }

func (*durationValue) Type() string { return "duration" }

// durationVar defines a flag for a duration, also of days and weeks.
func durationVar(flags *pflag.FlagSet, to *time.Duration, name string, byDefault time.Duration, usage string) {
	*to = byDefault
	flags.Var((*durationValue)(to), name, usage)
}
