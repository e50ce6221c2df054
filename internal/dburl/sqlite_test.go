package dburl_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dburl"
)

func TestConnectionsThatCreateOneSQLiteFileWaitForEachOther(t *testing.T) {
	t.Parallel()
	for range 20 {
		u, err := dburl.Parse("sqlite://" + filepath.Join(t.TempDir(), "new.db"))
		require.NoError(t, err)
		var pools sync.WaitGroup
		for range 8 {
			pools.Go(func() {
				db, err := u.OpenDB()
				if !assert.NoError(t, err) {
					return
				}
				defer db.Close()
				assert.NoError(t, db.PingContext(t.Context()))
			})
		}
		pools.Wait()
	}
}
