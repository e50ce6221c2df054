package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDurationsOfDaysAndWeeks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "1.5h": 90 * time.Minute, "30d": 30 * day, "30 days": 30 * day, "1 day": day,
		"2w": 14 * day, "1w2d3h": 9*day + 3*time.Hour, "-1h": -time.Hour, "106751d": 106751 * day,
	} {
		d, err := parseDuration(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, d, text)
	}
	for _, text := range []string{"", "30", "d", "1d-1h", "1d+1h", "1.5d", "-1d", "1d2w", "30 hours", "1d ", "106752d",
		"106751d24h", "99999999999w"} {
		_, err := parseDuration(text)
		assert.Error(t, err, text)
	}
}

func TestADurationIsPrintedAsItIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "d"))
		d = d.Truncate(rapid.SampledFrom([]time.Duration{1, time.Second, time.Hour, day}).Draw(t, "unit"))
		again, err := parseDuration(formatDuration(d))
		require.NoError(t, err)
		require.Equal(t, d, again)
	})
}
