package measure_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/authgraph/authgraph/bench/internal/measure"
)

func TestSpreadIsTheMiddleOfTheValues(t *testing.T) {
	t.Parallel()
	assert.Equal(t, measure.Spread{Low: 2, Median: 3, High: 4}, measure.SpreadOf([]float64{5, 1, 4, 2, 3}))
	assert.Equal(t, measure.Spread{Low: 1.75, Median: 2.5, High: 3.25}, measure.SpreadOf([]float64{4, 3, 2, 1}))
	assert.Equal(t, measure.Spread{Low: 7, Median: 7, High: 7}, measure.SpreadOf([]float64{7}))
}

func TestPercentileIsAMeasuredValue(t *testing.T) {
	t.Parallel()
	var all []time.Duration
	for i := range 200 {
		all = append(all, time.Duration(200-i))
	}
	assert.Equal(t, time.Duration(198), measure.Percentile(all, 0.99))
	assert.Equal(t, time.Duration(100), measure.Percentile(all, 0.5))
	assert.Zero(t, measure.Percentile(nil, 0.99))
}
