// Package measure holds what the benchmarks count with: medians and their spread, latencies, and round trips.
package measure

import (
	"math"
	"slices"
	"time"
)

// Spread is the middle of a number of measurements: the median, and the quartiles around it.
type Spread struct{ Low, Median, High float64 }

// SpreadOf is the spread of values, by linear interpolation; NaN of none.
func SpreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	return Spread{Low: quantile(sorted, 0.25), Median: quantile(sorted, 0.5), High: quantile(sorted, 0.75)}
}

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i == len(sorted)-1 {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Percentile is the value that q of all durations, which it sorts, do not exceed; 0 of none.
func Percentile(durations []time.Duration, q float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	return durations[max(0, int(math.Ceil(q*float64(len(durations))))-1)]
}
